import ConsensusEngine

/// Acts out the published scripts: a cluster whose every step is a command, without log lines.
final class ScriptedCluster {
    private var nodes: [Node] = []
    private var output: [String] = []
    private var isQuiet = false
    /// What is under way, oldest first.
    private var mail: [Mail] = []
    /// Places of changes that were proposed in the old form, which is printed in another way.
    private var oldFormChanges: Set<LogPosition> = []

    /// A message, or what a writing or applying thread says to its node.
    private struct Mail {
        let to: Int
        let text: [String]
        let deliver: (Node) throws -> Void
    }

    private final class Node {
        let raft: Raft
        let isAsynchronous: Bool
        var appendWork: [Ready.Append] = []
        var applyWork: [[RaftEntry]] = []

        init(_ raft: Raft, isAsynchronous: Bool) {
            self.raft = raft
            self.isAsynchronous = isAsynchronous
        }
    }

    /// - Returns: the output without log lines; `ok` if there is none.
    func run(_ one: VectorCase) -> [String] {
        output = []
        let wasQuiet = isQuiet
        if one.value("log-level") == "none" { isQuiet = true }
        do {
            try act(one)
        } catch {
            output.append(Self.text(error))
        }
        if one.value("log-level") != nil { isQuiet = wasQuiet }
        return output.isEmpty ? ["ok"] : output
    }

    private static func text(_ error: any Error) -> String {
        switch error as? RaftError {
        case .proposalDropped: "raft proposal dropped"
        case .unknownPeer: "raft: cannot step as peer not found"
        default: "\(error)"
        }
    }

    private func say(_ lines: [String]) { if !isQuiet { output += lines } }
    private func say(_ line: String) { say([line]) }

    /// What `body` says, two columns to the right.
    private func indented(_ body: () throws -> Void) rethrows {
        let before = output
        output = []
        defer { output = before + output.map { "  " + $0 } }
        try body()
    }

    private func node(_ id: Int) -> Node { nodes[id - 1] }

    // MARK: Commands

    private func act(_ one: VectorCase) throws {
        let ids = one.ids
        switch one.command {
        case "add-nodes": addNodes(one)
        case "campaign": node(ids[0]).raft.campaign()
        case "propose":
            try node(ids[0]).raft.propose(Array(one.arguments[1].name.utf8))
        case "propose-conf-change": try proposeChange(one)
        case "stabilize": try stabilize(ids.isEmpty ? nodes.map(\.raft.id) : ids)
        case "deliver-msgs": deliverMessages(one)
        case "process-ready":
            for id in ids {
                if ids.count == 1 {
                    try processReady(id)
                } else {
                    say("> \(id) handling Ready")
                    try indented { try processReady(id) }
                }
            }
        case "process-append-thread": processWork(ids, "append", processAppend)
        case "process-apply-thread": processWork(ids, "apply", processApply)
        case "tick-heartbeat": node(ids[0]).raft.tick()
        case "tick-election": for _ in 0..<3 { node(ids[0]).raft.tick() }
        case "set-randomized-election-timeout":
            node(ids[0]).raft.electionTimeoutTicks = one.numbers("timeout")[0]
        case "raft-log": printLog(node(ids[0]).raft)
        case "raft-state": for node in nodes { printState(node.raft) }
        case "status": for peer in node(ids[0]).raft.membership.progress { say("\(peer.id): \(peer)") }
        case "compact":
            let raft = node(ids[0]).raft
            raft.compact(through: ids[1])
        case "transfer-leadership":
            try node(one.numbers("from")[0]).raft.transferLeadership(to: one.numbers("to")[0])
        case "forget-leader": node(ids[0]).raft.forgetLeader()
        case "log-level": isQuiet = one.arguments[0].name == "none"
        default: say("what is \(one.command)?")
        }
    }

    private func addNodes(_ one: VectorCase) {
        for _ in 0..<one.ids[0] {
            var settings = Raft.Settings(id: nodes.count + 1)
            settings.electionTicks = 3
            settings.checksQuorum = one.value("checkquorum") == "true"
            settings.usesPreVote = one.value("prevote") == "true"
            let isAsynchronous = one.value("async-storage-writes") == "true"
            settings.appliesUnstable = !isAsynchronous
            var snapshot: RaftSnapshot?
            if let index = one.numbers("index").first {
                snapshot = RaftSnapshot(
                    position: .init(index: index, term: 1),
                    configuration: .init(voters: one.numbers("voters"), learners: one.numbers("learners")))
            }
            nodes.append(Node(Raft(settings, snapshot: snapshot), isAsynchronous: isAsynchronous))
        }
    }

    private func proposeChange(_ one: VectorCase) throws {
        let transitions: [String: ConfigurationChange.Transition] = [
            "auto": .automatic, "implicit": .implicit, "explicit": .explicit,
        ]
        let raft = node(one.ids[0]).raft
        if one.value("v1") == "true" {
            oldFormChanges.insert(LogPosition(index: raft.log.lastIndex + 1, term: raft.term))
        }
        try raft.propose(
            ConfigurationChange(
                QuorumVectorTests.steps(one.input), transition: transitions[one.value("transition") ?? "auto"]!))
    }

    // MARK: Moving on

    private func stabilize(_ ids: [Int]) throws {
        var isDone = false
        while !isDone {
            isDone = true
            for id in ids where node(id).raft.hasReady {
                say("> \(id) handling Ready")
                try indented { try processReady(id) }
                isDone = false
            }
            for id in ids where mail.contains(where: { $0.to == id }) {
                say("> \(id) receiving messages")
                indented { deliver(to: id) }
                isDone = false
            }
            for id in ids where !node(id).appendWork.isEmpty {
                say("> \(id) processing append thread")
                indented { while !node(id).appendWork.isEmpty { processAppend(id) } }
                isDone = false
            }
            for id in ids where !node(id).applyWork.isEmpty {
                say("> \(id) processing apply thread")
                indented { while !node(id).applyWork.isEmpty { processApply(id) } }
                isDone = false
            }
        }
    }

    private func deliverMessages(_ one: VectorCase) {
        for id in one.ids { deliver(to: id) }
        for id in one.numbers("drop") {
            for letter in mail where letter.to == id { say(letter.text.map { "dropped: " + $0 }) }
            mail.removeAll { $0.to == id }
        }
    }

    private func deliver(to id: Int) {
        let letters = mail.filter { $0.to == id }
        mail.removeAll { $0.to == id }
        for letter in letters {
            say(letter.text)
            do {
                try letter.deliver(node(id))
            } catch {
                say(Self.text(error))
            }
        }
    }

    private func post(_ message: RaftMessage) {
        mail.append(.init(to: message.to, text: describe(message)) { try $0.raft.receive(message) })
    }

    private func processWork(_ ids: [Int], _ name: String, _ work: (Int) -> Void) {
        for id in ids {
            if ids.count == 1 { return work(id) }
            say("> \(id) processing \(name) thread")
            indented { work(id) }
        }
    }

    // MARK: Ready

    private func processReady(_ id: Int) throws {
        let node = node(id)
        let ready = node.raft.takeReady()
        describe(ready, of: node)
        if node.isAsynchronous {
            for message in ready.messages { post(message) }
            if let append = ready.append { node.appendWork.append(append) }
            if !ready.committed.isEmpty { node.applyWork.append(ready.committed) }
            return
        }
        apply(ready.committed, on: node)
        for message in ready.messages { post(message) }
        let replies = ready.append?.replies ?? []
        for message in replies where message.to != id { post(message) }
        for message in replies where message.to == id { try? node.raft.receive(message) }
        if let mark = ready.append?.mark { node.raft.noteStored(mark) }
        node.raft.noteApplied(ready.committed)
    }

    private func apply(_ entries: [RaftEntry], on node: Node) {
        for entry in entries {
            if entry.kind == .configuration { node.raft.apply(ConfigurationChange(encoded: entry.data)!) }
            node.raft.snapshot = RaftSnapshot(position: entry.position, configuration: node.raft.configuration)
        }
    }

    private func processAppend(_ id: Int) {
        let node = node(id)
        guard !node.appendWork.isEmpty else { return say("no append work to perform") }
        let append = node.appendWork.removeFirst()
        say("Processing:")
        say(describe(append, of: id, withReplies: false))
        say("Responses:")
        for letter in letters(append, of: id) {
            say(letter.text)
            mail.append(letter)
        }
    }

    private func processApply(_ id: Int) {
        let node = node(id)
        guard !node.applyWork.isEmpty else { return say("no apply work to perform") }
        let entries = node.applyWork.removeFirst()
        apply(entries, on: node)
        say("Processing:")
        say("\(id)->ApplyThread MsgStorageApply Term:0 Log:0/0" + describe(entries))
        say("Responses:")
        let answer = "ApplyThread->\(id) MsgStorageApplyResp Term:0 Log:0/0" + describe(entries)
        say(answer)
        mail.append(.init(to: id, text: [answer]) { $0.raft.noteApplied(entries) })
    }

    /// What the writing thread says when it has written: replies, and up to where it is.
    private func letters(_ append: Ready.Append, of id: Int) -> [Mail] {
        var letters = append.replies.map { message in
            Mail(to: message.to, text: describe(message)) { try $0.raft.receive(message) }
        }
        if let mark = append.mark {
            let last = mark.last ?? .start
            let text = "AppendThread->\(id) MsgStorageAppendResp Term:\(mark.term) Log:\(last)"
            letters.append(.init(to: id, text: [text]) { $0.raft.noteStored(mark) })
        }
        return letters
    }

    // MARK: Describing

    private func describe(_ ready: Ready, of node: Node) {
        let id = node.raft.id
        guard ready.role != nil || ready.append != nil || !ready.messages.isEmpty || !ready.committed.isEmpty else {
            return say("<empty Ready>")
        }
        say("Ready MustSync=\(ready.append?.mustSync ?? false):")
        if let role = ready.role { say("Lead:\(role.leader) State:\(Self.name(role.role))") }
        if let hard = ready.append?.hardState {
            say("HardState Term:\(hard.term)" + (hard.vote > 0 ? " Vote:\(hard.vote)" : "") + " Commit:\(hard.commit)")
        }
        if let entries = ready.append?.entries, !entries.isEmpty { say(["Entries:"] + entries.map(describe)) }
        if let snapshot = ready.append?.snapshot { say("Snapshot " + describe(snapshot)) }
        if !ready.committed.isEmpty { say(["CommittedEntries:"] + ready.committed.map(describe)) }
        var lines = ready.messages.flatMap(describe)
        if node.isAsynchronous {
            if let append = ready.append { lines += describe(append, of: id, withReplies: true) }
            if !ready.committed.isEmpty {
                let entries = describe(ready.committed)
                lines.append("\(id)->ApplyThread MsgStorageApply Term:0 Log:0/0\(entries) Responses:[")
                lines.append("  ApplyThread->\(id) MsgStorageApplyResp Term:0 Log:0/0\(entries)")
                lines.append("]")
            }
        } else {
            lines += (ready.append?.replies ?? []).filter { $0.to != id }.flatMap(describe)
        }
        if !lines.isEmpty { say(["Messages:"] + lines) }
    }

    private func describe(_ append: Ready.Append, of id: Int, withReplies: Bool) -> [String] {
        let hard = append.hardState
        var text = "\(id)->AppendThread MsgStorageAppend Term:\(hard?.term ?? 0) Log:0/0"
        if let commit = hard?.commit, commit > 0 { text += " Commit:\(commit)" }
        if let vote = hard?.vote, vote > 0 { text += " Vote:\(vote)" }
        text += describe(append.entries)
        let replies = letters(append, of: id).flatMap(\.text)
        guard withReplies, !replies.isEmpty else { return [text] }
        return [text + " Responses:["] + replies.map { "  " + $0 } + ["]"]
    }

    private func describe(_ message: RaftMessage) -> [String] {
        var text = "\(message.from)->\(message.to) \(Self.name(message.kind)) Term:\(message.term)"
        text += " Log:\(message.logTerm)/\(message.index)"
        if message.isRejection { text += " Rejected (Hint: \(message.hint))" }
        if message.commit > 0 { text += " Commit:\(message.commit)" }
        if message.entries.count > 1 {
            return [text + " Entries:["] + message.entries.map { "  " + describe($0) } + ["]"]
        }
        text += describe(message.entries)
        if let snapshot = message.snapshot { return [text, "  Snapshot: " + describe(snapshot)] }
        return [text]
    }

    private func describe(_ entries: [RaftEntry]) -> String {
        entries.isEmpty ? "" : " Entries:[" + entries.map(describe).joined(separator: ", ") + "]"
    }

    private func describe(_ entry: RaftEntry) -> String {
        if entry.kind == .command {
            return "\(entry.position) EntryNormal \"\(String(decoding: entry.data, as: UTF8.self))\""
        }
        let letters: [ConfigurationChange.Step.Kind: String] = [
            .addVoter: "v", .addLearner: "l", .remove: "r", .update: "u",
        ]
        let name = oldFormChanges.contains(entry.position) ? "EntryConfChange" : "EntryConfChangeV2"
        let steps = ConfigurationChange(encoded: entry.data)!.steps.map { letters[$0.kind]! + String($0.id) }
        return ([entry.position.description, name] + steps).joined(separator: " ")
    }

    private func describe(_ snapshot: RaftSnapshot) -> String {
        func list(_ ids: [Int]) -> String { "[" + ids.map(String.init).joined(separator: " ") + "]" }
        let who = snapshot.configuration
        return "Index:\(snapshot.index) Term:\(snapshot.term) ConfState:Voters:\(list(who.voters)) "
            + "VotersOutgoing:\(list(who.outgoing)) Learners:\(list(who.learners)) "
            + "LearnersNext:\(list(who.nextLearners)) AutoLeave:\(who.leavesAutomatically)"
    }

    private func printLog(_ raft: Raft) {
        let entries = raft.log.entries(from: raft.log.firstIndex).filter { $0.index < raft.log.firstUnstable }
        if entries.isEmpty {
            say("log is empty: first index=\(raft.log.firstIndex), last index=\(raft.log.lastIndex)")
        }
        say(entries.map(describe))
    }

    private func printState(_ raft: Raft) {
        let kind = raft.configuration.isVoter(raft.id) ? "(Voter)" : "(Non-Voter)"
        say("\(raft.id): \(Self.name(raft.role)) \(kind) Term:\(raft.term) Lead:\(raft.leader)")
    }

    private static func name(_ role: Raft.Role) -> String {
        "State" + role.rawValue.prefix(1).uppercased() + role.rawValue.dropFirst()
    }

    private static func name(_ kind: RaftMessage.Kind) -> String {
        switch kind {
        case .propose: "MsgProp"
        case .append: "MsgApp"
        case .appendReply: "MsgAppResp"
        case .vote: "MsgVote"
        case .voteReply: "MsgVoteResp"
        case .preVote: "MsgPreVote"
        case .preVoteReply: "MsgPreVoteResp"
        case .snapshot: "MsgSnap"
        case .heartbeat: "MsgHeartbeat"
        case .heartbeatReply: "MsgHeartbeatResp"
        case .transfer: "MsgTransferLeader"
        case .timeoutNow: "MsgTimeoutNow"
        case .readIndex: "MsgReadIndex"
        case .readIndexReply: "MsgReadIndexResp"
        }
    }
}
