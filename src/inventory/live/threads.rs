//! Threads for one large piece of work, whose memory goes back to the system when it is done.

/// Does the work on as many threads as there are processors, which nobody else uses, and gives back what they held: a load takes as
/// much again as it leaves behind, and the allocator would keep it for the next.
pub fn of_its_own<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let done = match rayon::ThreadPoolBuilder::new().thread_name(|at| format!("load-{at}")).build() {
        Ok(threads) => {
            let done = threads.install(work);
            threads.broadcast(|_| give_back());
            done
        }
        // No more threads are to be had: on this one and those that are there.
        Err(_) => work(),
    };
    give_back();
    done
}

/// What this thread freed, and what others freed of its own.
fn give_back() {
    // SAFETY: takes no pointer, may be called by any thread at any time; does nothing to another allocator's memory.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
