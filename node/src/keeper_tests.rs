//! The disk guard and the pace by themselves; the keeper beside a live engine is tested with the whole program.

use super::*;

#[test]
fn a_disk_is_low_once_until_it_has_room_again() {
    let directory = tempfile::tempdir().unwrap();
    let guard =
        |percent_min| DiskGuard { journal: directory.path().to_owned(), percent_min, looked_at: None, is_low: false };
    assert_eq!(guard(0).look(), None, "never asked");
    // Not a byte of this disk may be used for that.
    let mut full = guard(101);
    let why = full.look().unwrap();
    assert!(why.contains("of the journal's disk is free, less than 101 %"), "{why}");
    assert_eq!(full.look(), None, "not within the same second");
    full.looked_at = None;
    assert_eq!((full.look(), full.is_low), (None, true), "told once");
    full.percent_min = 1;
    full.looked_at = None;
    assert_eq!((full.look(), full.is_low), (None, false), "armed again");
}

#[test]
fn who_is_far_behind_takes_his_share_until_half_of_it_is_made_good() {
    let paces = |behind: u64| (Pace::Spare.is_over(behind), Pace::Share.is_over(behind));
    assert_eq!(paces(0), (false, true));
    assert_eq!(paces(BEHIND_MAX / 2), (false, false), "neither ends here: no change at every record");
    assert_eq!(paces(BEHIND_MAX), (false, false));
    assert_eq!(paces(BEHIND_MAX + 1), (true, false));
}
