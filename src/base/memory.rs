//! Giving memory back to the system. The allocator keeps what was freed, for its own reuse; an appliance that idles should not.

/// Keeps all threads on two heaps; to be called before there is a second thread. glibc makes up to eight for each processor, and what a pass of the model
/// leaves behind lies in all of them: a minute after 1,500 passages were embedded the appliance held 61 MB, with two heaps 39 MB, and took no longer.
pub fn share_heaps() {
    #[expect(unsafe_code, reason = "glibc's own call; there is no safe wrapper")]
    // SAFETY: mallopt sets a number under malloc's own lock; any thread may call it.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// Gives freed heap back to the system: of all threads what lies between what is used, of the calling one also the end.
///
/// `malloc_trim` leaves the end of every thread's heap but the main one's, which after embedding is 20 MB each. That end goes when a larger block
/// is freed there while the trim threshold is small. Between such moments the thresholds are large, so that passes of the model reuse their buffers
/// instead of faulting them in again.
pub fn release_heap() {
    const LARGE: libc::c_int = 32 << 20;
    const SMALL: libc::c_int = 64 << 10;
    let set = |parameter, value| {
        #[expect(unsafe_code, reason = "glibc's own call; there is no safe wrapper")]
        // SAFETY: mallopt sets a number under malloc's own lock; any thread may call it.
        unsafe {
            libc::mallopt(parameter, value);
        }
    };
    set(libc::M_TRIM_THRESHOLD, SMALL);
    drop(std::hint::black_box(Vec::<u8>::with_capacity(96 << 10)));
    set(libc::M_TRIM_THRESHOLD, LARGE);
    set(libc::M_MMAP_THRESHOLD, LARGE);
    #[expect(unsafe_code, reason = "glibc's own call; there is no safe wrapper")]
    // SAFETY: malloc_trim only returns free memory to the system; it may be called from any thread at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
