import KernelStructures
import KernelWorld

extension Session {
    /// The service node that somebody means, however it is called: by its name, its address, a port of its own, or an
    /// address with a port. In the lab one is as good as the other: `Server-B`, `127.0.1.2`, `8082`, `:8082`,
    /// `localhost:8082`, `Server-B:8082`.
    ///
    /// Of several nodes that listen on a port, it is the one to which `localhost` leads.
    public func node(meantBy text: String) -> Node? {
        if let node = world.nodes[text], !node.isTransient { return node }
        if let address = IPAddress(parsing: text), let node = world.nodes.at(address) { return node }
        let digits = text.hasPrefix(":") ? text.dropFirst() : text[...]
        if let port = UInt16(digits), port > 0 { return node(atPort: port) }
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else {
            return nil
        }
        let host = String(text[..<colon])
        if host.lowercased() == "localhost" || host == "127.0.0.1" || host == "[::1]" { return node(atPort: port) }
        let node = world.nodes[host] ?? IPAddress(parsing: host).flatMap { world.nodes.at($0) }
        return node.flatMap { !$0.isTransient && $0.hasPort(port) ? $0 : nil }
    }

    private func node(atPort port: UInt16) -> Node? {
        if let node = world.network.localhostOwner(of: port) { return node }
        let services = world.nodes.allServices
        // One that has ended listens no more; it is known by the port that it was started with.
        return services.first { $0.hasPort(port) } ?? services.last { !$0.isAlive && wasStarted($0, atPort: port) }
    }

    private func wasStarted(_ node: Node, atPort port: UInt16) -> Bool {
        guard let words = commandLine(ofNode: node.name) else { return false }
        return words.contains("--port=\(port)")
            || zip(words, words.dropFirst()).contains { ($0 == "--port" || $0 == "-p") && $1 == "\(port)" }
    }

    /// Finds the job that the user means.
    ///
    /// - Parameter orEnded: whether a job will do that has ended and whose number nobody has taken since.
    public func job(_ reference: String, orEnded: Bool = false) throws(CommandFailure) -> Job {
        if let job = jobs.find(reference, orEnded: orEnded) { return job }
        if let name = node(meantBy: reference)?.name, let job = jobs.find(name, orEnded: orEnded) { return job }
        let those = jobs.running.filter { $0.runs(command: reference) }
        if let name = those.first(where: { $0.nodeName != nil })?.nodeName {
            throw CommandFailure("no job '\(reference)': the node that runs it is called \(name)")
        }
        // A client has no name but its program's, which will do while it is the only one.
        if those.count == 1 { return those[0] }
        if those.count > 1 {
            let numbers = those.prefix(10).map { "%\($0.number)" }.joined(separator: " ")
            throw CommandFailure("no job '\(reference)': several run it, \(numbers)")
        }
        let names = jobs.running.flatMap { ["%\($0.number)"] + [$0.nodeName].compactMap { $0 } }
        throw CommandFailure(
            "no job '\(reference)'"
                + (names.isEmpty ? "; nothing runs in the background" : didYouMean(reference, among: names)))
    }

    /// The name of the node that is meant, or the text as it is where no node is: whoever looks it up will say so.
    public func nodeName(meantBy text: String) -> String { node(meantBy: text)?.name ?? text }
}

extension Job {
    fileprivate func runs(command: String) -> Bool { running.contains { $0.name == command } }
}

extension Node {
    fileprivate func hasPort(_ port: UInt16) -> Bool {
        listeners.contains { $0.port == port } || datagramSockets.contains { $0.port == port }
    }
}
