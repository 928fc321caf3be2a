//! The board: every task in one of five columns, page by page, filtered.

use approval_core::{DecisionRequest, Outcome, RetryChanges, Status, TaskId};
use store::{BoardColumn, BoardFilter, BoardView, Command, Scope};
use test_support::{Site, task};

const FAILED: &[Status] = &[Status::Failed, Status::Cancelled];
const PENDING: &[Status] = &[Status::Pending];

fn first(limit: i64) -> BoardFilter {
    BoardFilter {
        limit,
        ..BoardFilter::default()
    }
}

fn with_text(text: &str) -> BoardFilter {
    BoardFilter {
        text: Some(text.to_owned()),
        ..first(50)
    }
}

async fn board(site: &Site, filter: BoardFilter) -> BoardView {
    let scope = site.everything();
    site.read(move |reads| reads.board(scope, &filter)).await
}

async fn older(
    site: &Site,
    statuses: &'static [Status],
    filter: BoardFilter,
    after: Option<TaskId>,
) -> BoardColumn {
    let scope = site.everything();
    let read = site.read(move |reads| reads.board_column(scope, statuses, &filter, after));
    read.await.0
}

fn ids(column: &BoardColumn) -> Vec<TaskId> {
    column.cards.iter().map(|card| card.id).collect()
}

async fn titled(site: &Site, title: &str) -> TaskId {
    let mut new = site.wish("content");
    new.title = Some(title.to_owned());
    site.create(new).await.state.id
}

async fn cancelled(site: &Site) -> TaskId {
    let id = site.create(site.wish("cancelled")).await.state.id;
    site.done(&site.person, Command::CancelTask(id)).await;
    id
}

async fn failed(site: &Site) -> TaskId {
    let work = site.start(site.wish("failed")).await;
    site.finish(&work, Outcome::Failed).await.state.id
}

pub async fn every_task_has_its_column(site: &mut Site) {
    let review = site.to_review("review").await.state.id;
    let done = site.to_review("done").await.state.id;
    site.review(done, DecisionRequest::approve()).await;
    let (failed, cancelled) = (failed(site).await, cancelled(site).await);
    let pending = site.create(site.wish("pending")).await.state.id;
    let running = site.start(site.wish("running")).await.id();
    let queued = site.queue(site.wish("queued")).await;

    let view = board(site, first(50)).await;
    let held: Vec<_> = view.columns.iter().map(ids).collect();
    let expected = [
        vec![pending],
        vec![queued, running],
        vec![review],
        vec![done],
        vec![cancelled, failed],
    ];
    assert_eq!(held, expected);
    for (column, ids) in view.columns.iter().zip(expected) {
        assert_eq!(usize::try_from(column.count).unwrap(), ids.len());
        assert_eq!((column.next, column.searched), (None, None));
        let fits = |card: &store::Card| column.statuses.contains(&card.status);
        assert!(column.cards.iter().all(fits), "{column:?}");
    }
    let claimed: Vec<_> = view.columns[1].cards.iter().map(|c| c.claimed).collect();
    assert_eq!(claimed, [false, true]);
    let card = &view.columns[2].cards[0];
    let of = site.task(review).await;
    assert_eq!(card.title, "review");
    assert_eq!(card.desktop, site.desktop.id);
    assert_eq!(card.created_at, of.state.created_at);
    assert_eq!(card.completed_at, of.state.completed_at);
    assert_eq!((card.attempt, card.gated), (1, true));
    assert_eq!(view.desktops, [(site.desktop.id, "first".to_owned())]);
}

pub async fn another_account_sees_nothing(site: &mut Site) {
    site.create(site.wish("mine")).await;
    let (account, _) = site.add_account("eve@example.org");
    let scope = Scope {
        account,
        desktop: None,
    };
    for filter in [
        first(50),
        with_text("mine"),
        BoardFilter {
            desktop: Some(site.desktop.id),
            ..first(50)
        },
    ] {
        let view = site.read(move |reads| reads.board(scope, &filter)).await;
        assert_eq!(view.desktops, []);
        assert_eq!(view.columns.len(), 5);
        for column in view.columns {
            assert_eq!((column.count, column.cards.len()), (0, 0));
        }
    }
}

pub async fn older_cards_come_without_gap_or_double(site: &mut Site) {
    // two statuses in one column, mixed
    let mut expected = Vec::new();
    for n in 0..7 {
        expected.insert(
            0,
            match n % 3 {
                0 => failed(site).await,
                _ => cancelled(site).await,
            },
        );
    }
    for filter in [
        first(2),
        BoardFilter {
            limit: 2,
            ..with_text("e")
        },
    ] {
        let column = board(site, filter.clone()).await.columns.pop().unwrap();
        assert_eq!((column.count, column.cards.len()), (7, 2));
        let mut found = ids(&column);
        let mut next = column.next;
        while let Some(after) = next {
            assert_eq!(found.last(), Some(&after));
            let column = older(site, FAILED, filter.clone(), Some(after)).await;
            assert!(column.cards.len() <= 2);
            assert_eq!(column.count, 7);
            found.extend(ids(&column));
            next = column.next;
        }
        assert_eq!(found, expected);
    }
    // a column that is exactly full has no more
    let column = older(site, FAILED, first(7), None).await;
    assert_eq!((column.cards.len(), column.next), (7, None));
}

pub async fn a_desktop_filters(site: &mut Site) {
    let here = titled(site, "same").await;
    let other = site.add_desktop("other").await;
    let mut new = site.wish("there");
    new.desktop = other.id;
    new.title = Some("same".to_owned());
    let there = site.create(new).await.state.id;
    for (desktop, expected) in [(site.desktop.id, here), (other.id, there)] {
        for text in [None, Some("SAME".to_owned())] {
            let filter = BoardFilter {
                desktop: Some(desktop),
                text,
                limit: 50,
            };
            let column = board(site, filter).await.columns.remove(0);
            assert_eq!((ids(&column), column.count), (vec![expected], 1));
        }
    }
    // an agent sees its desktop only
    let scope = Scope {
        account: site.account,
        desktop: Some(other.id),
    };
    let view = site.read(move |reads| reads.board(scope, &first(50))).await;
    assert_eq!(ids(&view.columns[0]), [there]);
}

pub async fn a_text_filters_every_character_as_itself(site: &mut Site) {
    let percent = titled(site, "100% sure").await;
    let under = titled(site, "snake_case").await;
    let bang = titled(site, "Deploy! now").await;
    let accents = titled(site, "Prüfung ÜBER alles").await;
    let plain = titled(site, "1000 sure snakecase").await;
    for (text, expected) in [
        ("0%", vec![percent]),
        ("e_c", vec![under]),
        ("y!", vec![bang]),
        ("DEPLOY", vec![bang]),
        ("sNaKe", vec![plain, under]),
        ("ÜBER", vec![accents]),
        ("über", vec![accents]),
        ("PRÜF", vec![accents]),
        ("%", vec![percent]),
        ("_", vec![under]),
        ("!", vec![bang]),
        ("nowhere", vec![]),
    ] {
        let column = board(site, with_text(text)).await.columns.remove(0);
        assert_eq!(ids(&column), expected, "{text}");
        let count = i64::try_from(expected.len()).unwrap();
        assert_eq!((column.count, column.next), (count, None), "{text}");
        assert_eq!(column.searched, None);
    }
}

pub async fn the_newest_retries_block(site: &mut Site) {
    let parent = failed(site).await;
    let done = site.succeed(site.wish("done")).await.state.id;
    let waits_for = site.create(site.wish("waits for")).await.state.id;
    let mut new = site.wish("blocked");
    new.depends_on = vec![parent, done, waits_for];
    let blocked = site.create(new).await.state.id;
    let blocked_by = async |site: &Site| {
        let column = older(site, PENDING, first(50), None).await;
        let card = column.cards.into_iter().find(|card| card.id == blocked);
        card.unwrap().blocked_by
    };
    assert_eq!(blocked_by(site).await, 2);
    let retry = Command::RetryTask {
        task: parent,
        changes: RetryChanges::default(),
    };
    let retried = task(site.done(&site.person, retry).await).state.id;
    assert_eq!(
        blocked_by(site).await,
        2,
        "the failed one and its retry are one"
    );
    site.run(retried).await;
    let work = site.claim().await.unwrap();
    site.finish(&work, Outcome::Succeeded).await;
    assert_eq!(blocked_by(site).await, 1);
    let column = older(site, PENDING, first(50), None).await;
    assert_eq!(column.cards[1].blocked_by, 0, "{column:?}");
}
