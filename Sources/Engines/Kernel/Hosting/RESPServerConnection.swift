import KernelStructures
import KernelWire
import KernelWorld

/// One client's connection to a RESP server.
///
/// Requests are carried out in order, as many as have arrived; their replies leave together at the end of the turn.
/// A client that does not take its replies is not read from any more, so one connection holds at most
/// `RESPServerOptions.outputBytes`, one reply, and one buffer of requests.
public final class RESPServerConnection: StreamHandler, TurnConnection {
    public let stream: Stream
    /// `CLIENT ID`: 1, 2, … in order of arrival.
    public let number: Int
    public unowned let server: RESPServer
    /// Where commands write their answers.
    public var reply = RESPWriter()
    /// Free for the service's use.
    public var context: AnyObject?
    public let openedAt: LabTime
    public private(set) var lastRequestAt: LabTime
    public internal(set) var name = ""
    public internal(set) var libraryName = ""
    public internal(set) var libraryVersion = ""
    /// The command that it asked for last.
    public private(set) var lastCommand: RESPCommand?
    /// What it listens to, the other letters of its flags, and whom invalidations go to, as `CLIENT LIST` tells.
    public var subscriptions = RESPSubscriptions()
    public var marks = ""
    public var redirection = -1
    /// What has been queued since MULTI; nil outside of one.
    public var transaction: RESPTransaction?
    /// CLIENT REPLY: how replies are to be treated.
    var replyMode = ReplyMode.on

    enum ReplyMode { case on, off, skipNext, skip }

    private let reader: RESPRequestReader
    private var ahead = ByteQueue()
    private var isProcessing = false
    private var isSuspended = false
    private var isClosing = false
    private var isClosed = false
    /// The client has said all it will say, and may still wait for replies.
    private var hasPeerEnded = false
    private var isNoted = false
    private var sealedCount = 0
    /// Where replies of commands that write stand in `reply`: they turn into an error if the commit fails.
    private var promises: [Range<Int>] = []
    private var promisedCount = 0
    private var timer: TimerID?
    /// What it asked for while clients are paused.
    private var postponed: RESPRequest?

    init(_ stream: Stream, number: Int, server: RESPServer) {
        self.stream = stream
        self.number = number
        self.server = server
        openedAt = stream.node.world.now
        lastRequestAt = openedAt
        reader = RESPRequestReader(limits: server.options.limits)
    }

    public var version: RESPVersion { reply.version }
    /// Bytes of requests and replies that wait.
    public var inputByteCount: Int { ahead.count + reader.heldByteCount }
    public var outputByteCount: Int { reply.count + stream.unsentByteCount }

    // MARK: StreamHandler

    public func streamOpened(_ stream: Stream) { watchIdleness() }

    public func stream(_ stream: Stream, received bytes: UnsafeRawBufferPointer) {
        if isProcessing || isSuspended || !ahead.isEmpty {
            ahead.append(bytes)
            stream.pauseReading()
        } else {
            process(bytes)
        }
    }

    public func streamEnded(_ stream: Stream) {
        hasPeerEnded = true
        noteIfNeeded()
    }

    public func streamDrained(_ stream: Stream) { goOn() }

    public func stream(_ stream: Stream, closed reason: CloseReason) { ended() }

    public func streamLost(_ stream: Stream) { context = nil }

    private func ended() {
        guard !isClosed else { return }
        isClosed = true
        isClosing = true
        stream.node.cancel(timer)
        timer = nil
        ahead.removeAll()
        postponed = nil
        server.forget(self)
    }

    // MARK: Requests

    private func process(_ bytes: UnsafeRawBufferPointer) {
        isProcessing = true
        lastRequestAt = stream.node.world.now
        var position = 0
        reading: while !isClosing {
            if isSuspended || reply.count >= server.options.outputBytes || stream.isCongested {
                if position < bytes.count {
                    ahead.append(UnsafeRawBufferPointer(rebasing: bytes[position...]))
                    stream.pauseReading()
                }
                break
            }
            switch reader.next(bytes, &position) {
            case .needMore: break reading
            case .request: run(reader.arguments)
            case .failed(let error):
                server.errorCount += 1
                reply.error("ERR \(error)")
                isClosing = true
            }
        }
        isProcessing = false
        noteIfNeeded()
    }

    private func noteIfNeeded() {
        guard !isNoted, !isClosed, reply.count > 0 || isDone else { return }
        isNoted = true
        server.note(self)
    }

    /// Whether nothing but replies that are written already is still to come.
    private var isDone: Bool { !isSuspended && (isClosing || (hasPeerEnded && ahead.isEmpty && !isProcessing)) }

    /// Carries on with requests that had to wait.
    private func goOn() {
        while !isProcessing, !isClosing, !isSuspended, !stream.isCongested,
            reply.count < server.options.outputBytes, !ahead.isEmpty
        {
            var waiting = ByteQueue()
            swap(&waiting, &ahead)
            waiting.withUnsafeBytes { process($0) }
        }
        if ahead.isEmpty, !isSuspended, !isClosing { stream.resumeReading() }
        noteIfNeeded()
    }

    private func run(_ arguments: RESPArguments) {
        server.commandCount += 1
        let start = reply.count
        dispatch(arguments)
        if replyMode != .on, postponed == nil { applyReplyMode(start) }
    }

    private func dispatch(_ arguments: RESPArguments) {
        guard var command = server.table.find(arguments[0]) else { return refuse(unknown: arguments) }
        guard command.accepts(arguments.count) else { return refuse(wrongCountFor: command) }
        if let subcommands = command.subcommands, arguments.count > 1 {
            guard let subcommand = subcommands.find(arguments[1]) else {
                return refuse(
                    "ERR unknown subcommand '", arguments.printed(1, limit: 128),
                    "'. Try \(command.name.uppercased()) HELP.")
            }
            command = subcommand
            guard command.accepts(arguments.count) else { return refuse(wrongCountFor: command) }
        }
        lastCommand = command
        if server.pause != nil, server.isPaused(for: command, of: self) {
            postponed = RESPRequest(arguments)
            return suspend()
        }
        if transaction != nil, !command.flags.contains(.immediate) { return queue(command, arguments) }
        perform(command, arguments)
    }

    /// Carries out a command; `EXEC` calls it for what was queued.
    public func perform(_ command: RESPCommand, _ arguments: RESPArguments) {
        let start = reply.count
        if server.options.asksAdmission, !server.service.admit(self, command, arguments) {
            return
        }
        command.callCount &+= 1
        command.action(self, arguments)
        guard reply.count > start else { return }
        if command.flags.contains(.write) { promises.append(start..<reply.count) }
        if reply.bytes[start] == UInt8(ascii: "-") {
            command.failureCount += 1
            server.errorCount += 1
        }
    }

    /// Clients are not paused any more.
    func pauseEnded() {
        guard let request = postponed, !isClosed else { return }
        postponed = nil
        isSuspended = false
        let start = reply.count
        isProcessing = true
        request.withArguments { dispatch($0) }
        isProcessing = false
        if replyMode != .on { applyReplyMode(start) }
        noteIfNeeded()
        goOn()
    }

    private func applyReplyMode(_ start: Int) {
        switch replyMode {
        case .on: return
        case .off: break
        case .skipNext:
            replyMode = .skip
            return
        case .skip: replyMode = .on
        }
        reply.truncate(to: start)
        forgetPromises(from: start)
    }

    private func queue(_ command: RESPCommand, _ arguments: RESPArguments) {
        if command.flags.contains(.noTransaction) {
            return refuse("ERR Command not allowed inside a transaction")
        }
        if server.options.asksAdmission, !server.service.mayQueue(self, command, arguments) {
            transaction?.isSpoiled = true
            return
        }
        if transaction!.queue(command, arguments) {
            reply.raw("+QUEUED\r\n")
        } else {
            refuse("ERR the transaction is larger than \(RESPTransaction.byteLimit) bytes")
        }
    }

    /// An error instead of the command; a transaction that it was meant for can no longer be carried out.
    public func refuse(_ text: String, _ word: [UInt8] = [], _ rest: String = "") {
        server.errorCount += 1
        reply.error(text, word, rest)
        transaction?.isSpoiled = true
    }

    private func refuse(wrongCountFor command: RESPCommand) {
        command.failureCount += 1
        let complaint = "wrong number of arguments for '\(command.name)' command"
        guard command.name == "exec" else { return refuse("ERR " + complaint) }
        // Whoever says EXEC means the transaction to be over, in one way or the other.
        refuse("EXECABORT Transaction discarded because of: " + complaint)
        transaction = nil
        server.service.connectionReset(self)
    }

    /// A page in a browser can post to any port, and lines of its body would be commands. They come behind a line that
    /// begins with `POST`, or with `Host:`, which no command is called; whatever follows is not carried out (as Redis
    /// guards itself against cross-protocol scripting).
    private func isOfHTTP(_ arguments: RESPArguments) -> Bool {
        arguments.isWord(0, "POST") || arguments.isWord(0, "HOST:")
    }

    private func refuse(unknown arguments: RESPArguments) {
        if isOfHTTP(arguments) {
            server.errorCount += 1
            server.service.connectionSpokeHTTP(self)
            return kill()
        }
        var shown = arguments.printed(0, limit: 128) + Array("', with args beginning with: ".utf8)
        let start = shown.count
        for index in 1..<max(1, arguments.count) {
            let room = 128 - (shown.count - start)
            if room <= 0 { break }
            shown += [UInt8(ascii: "'")] + arguments.printed(index, limit: room) + Array("' ".utf8)
        }
        refuse("ERR unknown command '", shown)
    }

    // MARK: Waiting

    /// The present command answers later: no further request is carried out until `resume`.
    public func suspend() { isSuspended = true }

    /// The answer that was waited for has been written into `reply`.
    public func resume() {
        guard isSuspended else { return }
        isSuspended = false
        if isClosed { return }
        noteIfNeeded()
        goOn()
    }

    /// Bytes were written into `reply` that no request asked for just now.
    public func replyAdded() { if !isProcessing { noteIfNeeded() } }

    /// The reply from that place on is true only if the next commit succeeds: for writers that are not flagged so.
    public func promise(from start: Int) { if reply.count > start { promises.append(start..<reply.count) } }

    /// What was written from that place on is going to be removed: it promises nothing any more.
    public func forgetPromises(from start: Int) {
        while let last = promises.last, last.upperBound > start { promises.removeLast() }
    }

    /// Closes once everything that is owed has been sent, the answer of a command that waits included.
    public func closeAfterReplies() {
        isClosing = true
        ahead.removeAll()
        noteIfNeeded()
    }

    /// Closes at once: CLIENT KILL, or a client that does not take what it subscribed to.
    public func kill() {
        stream.abort()
        ended()
    }

    // MARK: Replies

    public func seal() {
        isNoted = false
        sealedCount = reply.count
        promisedCount = promises.count
    }

    /// The turn's commit is done: what it covers may be said.
    public func sendSealed(_ failure: String?) {
        guard !isClosed else { return }
        if let failure, promisedCount > 0 { breakPromises(failure) }
        if promisedCount == promises.count {
            promises.removeAll(keepingCapacity: true)
        } else {
            promises.removeFirst(promisedCount)
            let shift = sealedCount
            promises = promises.map { $0.lowerBound - shift..<$0.upperBound - shift }
        }
        promisedCount = 0
        let sent = sealedCount
        sealedCount = 0
        if sent > 0 {
            reply.bytes.withUnsafeBytes { stream.write(UnsafeRawBufferPointer(rebasing: $0[..<sent])) }
            reply.removeFirst(sent)
        }
        if isDone, reply.count == 0 {
            isClosing = true
            stream.close()
            if stream.isClosed { ended() } else { stream.onEnd = { [self] in ended() } }
            return
        }
        if !ahead.isEmpty { goOn() }
    }

    /// Puts the error in the place of each reply that would have promised too much.
    private func breakPromises(_ failure: String) {
        var changed = RESPWriter(version: reply.version)
        var place = 0
        for promise in promises[..<promisedCount] {
            changed.raw(Array(reply.bytes[place..<promise.lowerBound]))
            if reply.bytes[promise.lowerBound] == UInt8(ascii: "-") {
                changed.raw(Array(reply.bytes[promise]))
            } else {
                changed.error(failure)
            }
            place = promise.upperBound
        }
        changed.raw(Array(reply.bytes[place..<sealedCount]))
        let growth = changed.count - sealedCount
        changed.raw(Array(reply.bytes[sealedCount...]))
        sealedCount += growth
        reply = changed
        for index in promisedCount..<promises.count {
            promises[index] = promises[index].lowerBound + growth..<promises[index].upperBound + growth
        }
    }

    // MARK: Idleness

    /// One timer a connection: it looks at when the last request came, when it fires.
    private func watchIdleness() {
        let limit = server.options.idleTimeout
        guard limit < .infinite else { return }
        timer = stream.node.after(lastRequestAt + limit - stream.node.world.now) { [self] in
            timer = nil
            if stream.node.world.now - lastRequestAt >= limit, !isSuspended {
                stream.abort()
                ended()
            } else {
                watchIdleness()
            }
        }
    }
}
