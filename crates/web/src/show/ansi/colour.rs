//! Any colour a terminal knows, as the nearest of its sixteen.

/// The sixteen as most terminals draw them; only used to find the nearest.
const PALETTE: [[u8; 3]; 16] = [
    [0, 0, 0],
    [205, 0, 0],
    [0, 205, 0],
    [205, 205, 0],
    [0, 0, 238],
    [205, 0, 205],
    [0, 205, 205],
    [229, 229, 229],
    [127, 127, 127],
    [255, 0, 0],
    [0, 255, 0],
    [255, 255, 0],
    [92, 92, 255],
    [255, 0, 255],
    [0, 255, 255],
    [255, 255, 255],
];

/// The steps of the colour cube of 6 × 6 × 6.
const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The nearest of the sixteen to one of the 256.
pub(super) fn of_index(index: u8) -> u8 {
    match index {
        0..=15 => index,
        16..=231 => {
            let cube = usize::from(index - 16);
            let step = |at: usize| STEPS.get(at % 6).copied().unwrap_or_default();
            of_rgb([step(cube / 36), step(cube / 6), step(cube)])
        }
        232..=255 => of_rgb([8 + 10 * (index - 232); 3]),
    }
}

/// The nearest of the sixteen to a colour.
pub(super) fn of_rgb(rgb: [u8; 3]) -> u8 {
    let nearest = (0..)
        .zip(PALETTE)
        .min_by_key(|(_, colour)| distance(rgb, *colour));
    nearest.map_or(7, |(index, _)| index)
}

fn distance(a: [u8; 3], b: [u8; 3]) -> u32 {
    a.into_iter()
        .zip(b)
        .map(|(a, b)| u32::from(a.abs_diff(b)).pow(2))
        .sum()
}
