import ShellSession

/// A case in pieces: `run` does all of them one after the other, a tour waits between two.
extension CaseRunner {
    /// Begins to hear what happens in the session. Whoever heard it before goes on hearing.
    func attach() {
        first = nil
        let previous = session.observer
        previousObserver = previous
        session.observer = { [unowned self] event in
            record(event)
            previous?(event)
        }
    }

    func detach() {
        session.observer = previousObserver
        previousObserver = nil
    }

    /// Acts out some of the items; `check` ends at the first failure.
    func act(_ range: Range<Int>) {
        for index in range {
            if isInterrupted() || (mode == .play && session.exitStatus != nil) { return }
            let item = allItems[index]
            lastPlace = item.place
            do {
                try act(item, index)
            } catch {
                note(error)
                if mode == .check { return }
            }
        }
    }

    /// Waits until something else can be typed: what the last command still does is not to be in the way of somebody
    /// who types the next one.
    func freeTerminal() {
        guard !isInterrupted(), session.exitStatus == nil, let terminal = session.currentTerminal else { return }
        do {
            try free(terminal, before: lastPlace)
        } catch {
            note(error)
        }
    }

    /// Looks at what is due at the end of the case, and returns the first failure of it all.
    func end() -> CaseFailure? {
        if isInterrupted() { return first ?? CaseFailure(lastPlace, "interrupted") }
        do {
            try finish()
        } catch {
            note(error)
        }
        return first
    }
}
