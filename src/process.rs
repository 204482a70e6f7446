//! What Linux says of this process in `/proc`.
//!
//! Each `parse_*` is pure and reads one file's text; only [`read`] touches files.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::snapshot::Process;

/// The kernel's unit of time in `/proc/self/stat`. `sysconf` could be asked for it, but every architecture's Linux that Rust
/// runs on shows 100 to programs, whatever its real timer does: the number is part of the kernel's interface.
const TICKS_PER_SECOND: u64 = 100;

/// Reads what is known of this process now.
pub fn read() -> Process {
    let text = |file: &str| fs::read_to_string(file).ok();
    let times = text("/proc/self/stat").and_then(|stat| parse_stat(&stat));
    let boot_time = text("/proc/stat").and_then(|stat| parse_boot_time(&stat));
    let status = text("/proc/self/status").unwrap_or_default();
    let limits = text("/proc/self/limits").unwrap_or_default();
    let netstat = text("/proc/self/net/netstat").unwrap_or_default();
    Process {
        cpu_seconds: times.map(|times| times.cpu.as_secs_f64()),
        open_fds: open_fds(),
        max_fds: parse_limit(&limits, "Max open files"),
        virtual_memory_bytes: parse_memory(&status, "VmSize"),
        virtual_memory_max_bytes: parse_limit(&limits, "Max address space"),
        resident_memory_bytes: parse_memory(&status, "VmRSS"),
        start_time: boot_time.zip(times).map(|(boot, times)| boot + times.start),
        network_receive_bytes: parse_netstat(&netstat, "InOctets"),
        network_transmit_bytes: parse_netstat(&netstat, "OutOctets"),
    }
}

/// Counts the open file descriptors, without the one that the counting itself needs.
fn open_fds() -> Option<u64> {
    let open = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Some(open.saturating_sub(1))
}

/// Times of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    /// User and system time spent.
    cpu: Duration,
    /// When it started, since the system did.
    start: Duration,
}

/// Reads the times in the text of `/proc/self/stat`.
fn parse_stat(text: &str) -> Option<Times> {
    // The second field is the program's name in parentheses, which may itself hold spaces and parentheses.
    let (_, after_name) = text.rsplit_once(')')?;
    // Counted as in proc_pid_stat(5), where the field after the name is the third.
    let field = |number: usize| -> Option<u64> { after_name.split_whitespace().nth(number - 3)?.parse().ok() };
    let (user, system, start) = (field(14)?, field(15)?, field(22)?);
    Some(Times {
        cpu: ticks(user.checked_add(system)?),
        start: ticks(start),
    })
}

fn ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks.saturating_mul(1000 / TICKS_PER_SECOND))
}

/// Reads when the system started in the text of `/proc/stat`.
fn parse_boot_time(text: &str) -> Option<SystemTime> {
    let seconds = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    let since = Duration::from_secs(seconds.trim().parse().ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

/// Reads an amount of memory, in bytes, in the text of `/proc/self/status`.
fn parse_memory(text: &str, name: &str) -> Option<u64> {
    let amount = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kibibytes: u64 = amount.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// Reads a limit that is in force in the text of `/proc/self/limits`; `None` where unlimited.
fn parse_limit(text: &str, name: &str) -> Option<u64> {
    let values = text.lines().find_map(|line| line.strip_prefix(name))?;
    values.split_whitespace().next()?.parse().ok()
}

/// Reads a counter of the internet protocol in the text of `/proc/self/net/netstat`.
fn parse_netstat(text: &str, name: &str) -> Option<u64> {
    // Two lines: the names, then the values in the same order.
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("IpExt: "));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut counters = names.split_whitespace().zip(values.split_whitespace());
    let (_, value) = counters.find(|(counter, _)| *counter == name)?;
    value.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_spaces_and_parentheses() {
        let stat = "4242 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 1234 66 0 0 20 0 5 0 98765 1000 200 0";
        let times = Times {
            cpu: Duration::from_secs(13),
            start: Duration::from_millis(987_650),
        };
        assert_eq!(parse_stat(stat), Some(times));
        assert_eq!(parse_stat("4242 (cut"), None);
        assert_eq!(parse_stat("4242 (cut) S 1 2"), None);
    }

    #[test]
    fn the_boot_time_is_a_line_of_its_own() {
        let boot = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_000_000);
        assert_eq!(
            parse_boot_time("cpu 1 2\nintr 5\nbtime 1795000000\nprocesses 9\n"),
            Some(boot)
        );
        assert_eq!(parse_boot_time("cpu 1 2\n"), None);
    }

    #[test]
    fn memory_is_told_in_kibibytes() {
        let status = "Name:\tgreenapi\nVmPeak:\t    9 kB\nVmSize:\t    2048 kB\nVmRSS:\t 7 kB\n";
        assert_eq!(parse_memory(status, "VmSize"), Some(2 << 20));
        assert_eq!(parse_memory(status, "VmRSS"), Some(7 << 10));
        assert_eq!(parse_memory(status, "VmSwap"), None);
    }

    #[test]
    fn an_unlimited_resource_has_no_limit() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 524288               files     \n\
                      Max address space         unlimited            unlimited            bytes     \n";
        assert_eq!(parse_limit(limits, "Max open files"), Some(1024));
        assert_eq!(parse_limit(limits, "Max address space"), None);
        assert_eq!(parse_limit(limits, "Max nice priority"), None);
    }

    #[test]
    fn network_counters_are_named_by_the_line_before() {
        let netstat = "TcpExt: A B\nTcpExt: 1 2\nIpExt: InNoRoutes InOctets OutOctets\nIpExt: 0 700 80\n";
        assert_eq!(parse_netstat(netstat, "InOctets"), Some(700));
        assert_eq!(parse_netstat(netstat, "OutOctets"), Some(80));
        assert_eq!(parse_netstat("IpExt: InOctets\n", "InOctets"), None);
    }

    #[test]
    fn all_but_the_limits_is_known_of_a_process() {
        let process = read();
        assert!(process.cpu_seconds.is_some());
        assert!(process.open_fds > Some(2));
        assert!(process.virtual_memory_bytes >= process.resident_memory_bytes);
        assert!(process.resident_memory_bytes > Some(0));
        assert!(process.start_time > Some(SystemTime::UNIX_EPOCH));
        assert!(process.network_receive_bytes.is_some() && process.network_transmit_bytes.is_some());
    }
}
