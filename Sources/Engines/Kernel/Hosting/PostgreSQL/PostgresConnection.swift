import KernelStructures
import KernelWire
import KernelWorld

/// A client's connection to a PostgreSQL server: questions are sent as they come, without waiting for one another's
/// answers (pipelining), and each answer goes to whoever asked. Each question ends in a Sync of its own, so one that
/// fails takes no other with it, unless a transaction is open.
///
/// ```
/// let connection = PostgresConnection(node, try PostgresURL("postgres://db:5432/urls"))
/// try connection.connect()
/// connection.execute("insert into t values ($1) returning id", [.text("a")]) { result in … }
/// ```
public final class PostgresConnection {
    /// The results of a question's statements, in their order.
    public typealias Completion = (Result<[PostgresResult], PostgresFailure>) -> Void

    public let session: PostgresSession
    /// The connection is over, or never came to be; called once, after everybody who waited. Not after `close`.
    public var onEnd: ((PostgresFailure) -> Void)?
    public var onOpen: (() -> Void)?
    public var onNotice: ((PostgresError) -> Void)?
    public var onNotification: ((_ channel: String, _ payload: String, _ process: Int32) -> Void)?
    /// Bytes of rows that one question may give; more end the connection.
    public var resultLimitBytes = 256 << 20
    /// Where the transaction stands, after the answers that have come.
    public private(set) var transactionStatus = PostgresTransactionStatus.idle

    private unowned let node: Node
    private var questions = RingQueue<PostgresQuestion>()
    private var statements = PreparedStatements()
    /// What was asked before the session was open.
    private var early: [UInt8] = []

    /// Questions that may wait for their answers.
    public static let waitingLimit = 1 << 16

    public init(_ node: Node, _ url: PostgresURL, security: (any StreamSecurity)? = nil) {
        self.node = node
        session = PostgresSession(node, url, security: security)
        session.onOpen = { [unowned self] in opened() }
        session.onFrame = { [unowned self] in received($0) }
        session.onEnd = { [unowned self] in ended($0) }
    }

    /// Starts to connect; `onOpen` or `onEnd` tells the outcome later.
    public func connect() throws(NetworkError) { try session.connect() }

    public var waitingCount: Int { questions.count }
    public var isOpen: Bool { session.isOpen }
    public var isClosed: Bool { session.isClosed }
    /// Whether nothing is under way, and no transaction is open.
    public var isReusable: Bool {
        session.isOpen && questions.isEmpty && transactionStatus == .idle && !session.stream.hasPeerEnded
    }

    // MARK: Questions

    /// Asks with one text, which may hold several statements (the simple protocol).
    ///
    /// - Parameter copyData: what `COPY … FROM STDIN` is given.
    public func query(_ sql: String, copyData: [UInt8]? = nil, _ completion: @escaping Completion) {
        let question = PostgresQuestion(kind: .simple, copyData: copyData, completion: traced(sql, completion))
        ask(question) { bytes in
            FrontendMessage.query(sql).encode(into: &bytes)
        }
    }

    /// Asks with one statement and values for its `$1` … (the extended protocol). It is prepared once a connection.
    public func execute(_ sql: String, _ parameters: [PostgresValue?] = [], _ completion: @escaping Completion) {
        let types = parameters.map { $0?.parameterType ?? .unspecified }
        let (statement, isNew, evicted) = statements.use(sql, types)
        let question = PostgresQuestion(
            kind: .extended(statement, isNew: isNew), columns: statement.columns,
            completion: traced(sql, text: sql, completion))
        ask(question) { bytes in
            if let evicted { FrontendMessage.close(.statement(evicted)).encode(into: &bytes) }
            if isNew {
                FrontendMessage.parse(statement: statement.name, query: sql, parameterTypes: types).encode(into: &bytes)
            }
            Self.bind(statement.name, parameters).encode(into: &bytes)
            if statement.columns == nil { FrontendMessage.describe(.portal("")).encode(into: &bytes) }
            FrontendMessage.execute(portal: "", rowLimit: 0).encode(into: &bytes)
            FrontendMessage.sync.encode(into: &bytes)
        }
    }

    /// The question as a span, where it is part of one.
    ///
    /// - Parameter text: what may be shown of it: a statement with its values outside.
    private func traced(_ sql: String, text: String? = nil, _ completion: @escaping Completion) -> Completion {
        guard node.world.spans.isRecording,
            let span = ActiveSpan.asking(
                "postgresql", Self.operation(sql), to: session.url.destination, on: node)
        else { return completion }
        if let text { span.set("db.query.text", text) }
        return { result in
            if case .failure(let failure) = result { span.fail("\(failure)") }
            span.end { completion(result) }
        }
    }

    /// Its first word, which says what is done.
    private static func operation(_ sql: String) -> String {
        let words = sql.split(maxSplits: 1) { $0.isWhitespace || $0 == ";" || $0 == "(" }
        return words.first.map { $0.prefix(32).uppercased() } ?? "SQL"
    }

    private static func bind(_ statement: String, _ parameters: [PostgresValue?]) -> FrontendMessage {
        var formats: [PostgresFormat] = []
        var values: [[UInt8]?] = []
        for parameter in parameters {
            let format = parameter.map { $0.parameterType == .unspecified ? .text : .binary } ?? PostgresFormat.text
            formats.append(format)
            values.append(parameter?.encoded(format))
        }
        return .bind(PostgresBind(statement: statement, parameterFormats: formats, parameters: values))
    }

    private func ask(_ question: PostgresQuestion, _ write: (inout [UInt8]) -> Void) {
        if session.isClosed {
            return node.enqueue { question.completion(.failure(.closedHere)) }
        }
        guard questions.count < Self.waitingLimit else {
            let count = questions.count
            return node.enqueue { question.completion(.failure(.tooManyWaiting(count))) }
        }
        questions.append(question)
        if !session.isOpen { return write(&early) }
        var bytes: [UInt8] = []
        write(&bytes)
        session.stream.write(bytes)
    }

    /// Asks the server to end what this connection is doing, on another one.
    public func cancel(done: (() -> Void)? = nil) {
        guard let key = session.cancelKey else {
            if let done { node.enqueue(done) }
            return
        }
        PostgresCancellation.send(key, to: session.url.destination, from: node, done: done)
    }

    /// Ends the connection in good order. Whoever still waits hears that it is closed.
    public func close() {
        onEnd = nil
        session.close()
        ended(.closedHere)
    }

    // MARK: Answers

    private func opened() {
        if !early.isEmpty {
            session.stream.write(early)
            early = []
        }
        let callback = onOpen
        onOpen = nil
        callback?()
    }

    private func received(_ frame: PostgresFrame) {
        do throws(PostgresError) {
            try take(try BackendMessage(frame))
        } catch {
            fail(.malformed(error))
        }
    }

    private func fail(_ failure: PostgresFailure) {
        session.onEnd = nil
        session.abort()
        ended(failure)
    }

    private func take(_ message: BackendMessage) throws(PostgresError) {
        switch message {
        case .noticeResponse(let notice): onNotice?(notice)
        case .notification(let process, let channel, let payload): onNotification?(channel, payload, process)
        case .parameterStatus: break
        case .errorResponse(let error) where questions.isEmpty || error.severity == .fatal:
            fail(.server(error))
        case .readyForQuery(let status):
            transactionStatus = status
            guard let question = questions.popFirst() else { throw .violation("ready, though nobody asked") }
            finish(question)
        default:
            guard let question = questions.first else { throw .violation("an answer that nobody asked for") }
            if try question.take(message, { [session] in session.send($0) }), question.byteCount > resultLimitBytes {
                fail(.tooLarge(limitBytes: resultLimitBytes))
            }
        }
    }

    private func finish(_ question: PostgresQuestion) {
        if case .extended(let statement, let isNew) = question.kind {
            if let error = question.error {
                // It is not there, or not as it was described: the next time it is prepared anew.
                let isStale = error.sqlState == .invalidStatementName || error.sqlState == .featureNotSupported
                if isNew || isStale { statements.forget(statement) }
            } else if statement.columns == nil {
                statement.columns = question.results.last?.columns ?? []
                statement.returnsRows = question.results.last?.returnsRows ?? false
            }
        }
        question.completion(question.error.map { .failure(.server($0)) } ?? .success(question.results))
    }

    private func ended(_ failure: PostgresFailure) {
        while let question = questions.popFirst() { question.completion(.failure(failure)) }
        early = []
        let callback = onEnd
        onEnd = nil
        onOpen = nil
        onNotice = nil
        onNotification = nil
        callback?(failure)
    }
}
