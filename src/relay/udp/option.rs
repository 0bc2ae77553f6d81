//! Socket options that are an int.

use std::os::fd::AsRawFd;

/// Sets an option. Where there is none of the kind, nothing happens.
#[expect(unsafe_code, reason = "no safe crate of ours sets all of these options")]
pub(super) fn set(socket: &impl AsRawFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) {
    // SAFETY: the descriptor is open for as long as `socket` is borrowed, and the value is an int that outlives the
    // call, with its size beside it.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            std::ptr::from_ref(&value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}
