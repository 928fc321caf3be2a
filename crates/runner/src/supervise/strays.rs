//! What a supervisor that was killed itself leaves behind.

use std::io;

use rustix::process::Pid;

/// Makes this process the one that orphans below it go to.
///
/// # Errors
/// When the system refuses.
pub(crate) fn become_subreaper() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// Kills the children of this process that are not in `known`, with everything below them, and
/// reaps them. Children in `known` are left alone, running or ended, and so is what is below
/// them. Blocks: not at all when there are no strays, for 20 s at most.
///
/// The result is whether no stray is left.
///
/// Every child that this process has started must be in `known`, until it is reaped; none may be
/// started while this runs. What is left are orphans of tasks.
pub(crate) fn kill_strays(known: &[Pid]) -> bool {
    #[cfg(target_os = "linux")]
    return linux::kill_strays(known);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = known;
        true
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use rustix::io::retry_on_intr;
    use rustix::process::{Pid, WaitId, WaitIdOptions, getpid, waitid};

    use crate::supervise::kill::kill_below;
    use crate::supervise::tree::{Process, below};

    pub(super) fn kill_strays(known: &[Pid]) -> bool {
        kill_below(known, |killed| {
            for process in killed {
                reap(process);
            }
            below(getpid(), known).is_empty()
        })
    }

    /// Reaps a process that has ended. One that is not a child of this process cannot be, and
    /// becomes one when its parent has ended. Nobody else reaps strays, so the number is theirs.
    fn reap(process: &Process) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let _ = retry_on_intr(|| waitid(WaitId::Pid(process.pid), options));
    }

    #[cfg(test)]
    mod tests {
        use std::io::{BufRead, BufReader};
        use std::process::{Child, Command, Stdio};
        use std::time::Duration;

        use super::*;
        use crate::supervise::{become_subreaper, kill_strays};

        /// Tells the test inside that it is alone in its process.
        const ALONE: &str = "COUNTERSIGN_TEST_ALONE";

        fn shell(script: &str) -> Child {
            Command::new("/bin/sh")
                .args(["-c", script])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        }

        /// The numbers a child prints, until it closes its output.
        fn numbers(child: &mut Child) -> Vec<Pid> {
            BufReader::new(child.stdout.take().unwrap())
                .lines()
                .map(|line| Pid::from_raw(line.unwrap().parse().unwrap()).unwrap())
                .collect()
        }

        /// The children of a test are those of all tests of its process, so this one starts itself
        /// again in a process of its own.
        #[test]
        fn strays_go_and_known_children_stay() {
            if std::env::var_os(ALONE).is_none() {
                let status = Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "--nocapture"])
                    .arg("supervise::strays::linux::tests::strays_go_and_known_children_stay")
                    .env(ALONE, "")
                    .status();
                assert!(status.unwrap().success());
                return;
            }
            become_subreaper().unwrap();
            let mut known = shell("exec >/dev/null; sleep 60 & wait");
            let mut ended = shell("exit 3");
            let pids = [Pid::from_child(&known), Pid::from_child(&ended)];
            assert!(kill_strays(&pids), "there is nothing to do");

            let mut parent = shell(
                "setsid sh -c 'echo $$; sleep 60 >/dev/null & echo $!; exec >/dev/null; wait' &",
            );
            let strays = numbers(&mut parent);
            parent.wait().unwrap();
            assert_eq!(strays.len(), 2);
            assert!(kill_strays(&pids));
            for stray in strays {
                assert!(
                    !std::fs::exists(format!("/proc/{stray}")).unwrap(),
                    "{stray} is neither there nor a zombie"
                );
            }

            std::thread::sleep(Duration::from_millis(100));
            assert!(known.try_wait().unwrap().is_none());
            assert_eq!(below(pids[0], &[]).len(), 1, "with its own child");
            assert_eq!(ended.wait().unwrap().code(), Some(3), "not stolen");
            assert!(kill_strays(&[]));
            assert!(known.wait().is_err(), "unknown, it was killed and reaped");
        }
    }
}
