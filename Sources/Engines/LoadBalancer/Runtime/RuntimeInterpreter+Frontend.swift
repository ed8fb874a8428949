/// Commands about the clients' side: whether they can come, and how many at a time. What they answer is HAProxy 2.6's.
extension RuntimeInterpreter {
    static let frontendEntries: [Entry] = [
        Entry("disable frontend", "<f>", "give the port up; what is open goes on") { run, words throws(Refusal) in
            try run.checkFrontend(words.first, "Frontend was previously shut down, cannot disable.")
            if run.front.state == .paused { throw Refusal("All sockets are already disabled.") }
            run.request = .setFrontend(.paused)
            return ""
        },
        Entry("enable frontend", "<f>", "listen there again") { run, words throws(Refusal) in
            try run.checkFrontend(words.first, "Frontend was previously shut down, cannot enable.")
            if run.front.state == .open { throw Refusal("All sockets are already enabled.") }
            run.request = .setFrontend(.open)
            return ""
        },
        Entry("shutdown frontend", "<f>", "give the port up for good") { run, words throws(Refusal) in
            try run.checkFrontend(words.first, "Frontend was already shut down.")
            run.request = .setFrontend(.stopped)
            return ""
        },
        Entry("set maxconn frontend", "<f> <limit>", "clients' connections at a time; more wait") {
            run, words throws(Refusal) in
            try run.checkFrontend(words.first, nil)
            guard let limit = words.dropFirst().first.flatMap({ Int($0) }) else {
                throw Refusal("Integer value expected.")
            }
            guard (0...Int(Int32.max)).contains(limit) else { throw Refusal("Value out of range.") }
            run.request = .limitConnections(limit)
            return ""
        },
    ]

    /// - Parameter refusal: the refusal where it has been shut down; nil: none.
    private func checkFrontend(_ name: String?, _ refusal: String?) throws(Refusal) {
        guard let name else { throw Refusal("A frontend name is expected.") }
        guard isProxy(name) else { throw Refusal("No such frontend.") }
        if front.state == .stopped, let refusal { throw Refusal(refusal) }
    }
}
