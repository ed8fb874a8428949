import KernelStructures
import KernelWire
import Testing

/// Messages in both directions, however their bytes are cut.
@Suite struct PostgresMessageTests {
    static let frontend: [FrontendMessage] = [
        .query("select 1"), .parse(statement: "s", query: "select $1", parameterTypes: [.int4, 0]),
        .bind(
            PostgresBind(
                portal: "p", statement: "s", parameterFormats: [.binary, .text], parameters: [[0, 0, 0, 1], nil],
                resultFormats: [.text])), .describe(.statement("s")), .describe(.portal("")),
        .execute(portal: "p", rowLimit: 100), .close(.portal("p")), .close(.statement("s")), .flush, .sync,
        .copyData([1, 2, 3]), .copyDone, .copyFail("no"), .password([1, 2, 0]), .functionCall, .terminate,
    ]

    static let backend: [BackendMessage] = [
        .authentication(.ok), .authentication(.cleartextPassword), .authentication(.md5Password(salt: [1, 2, 3, 4])),
        .authentication(.sasl(["SCRAM-SHA-256"])), .authentication(.saslContinue([1])),
        .authentication(.saslFinal([2])), .authentication(.unsupported(7)),
        .parameterStatus(name: "TimeZone", value: "UTC"),
        .backendKeyData(PostgresCancelKey(process: 7, secret: -1)), .readyForQuery(.failed),
        .rowDescription([ColumnDescription("a", .numeric, typeModifier: 262_150, table: 16_384, attribute: 2)]),
        .dataRow(PostgresRow([[49], nil, []])), .commandComplete("SELECT 1"), .emptyQueryResponse,
        .errorResponse(PostgresError(.undefinedTable, "no", detail: "d", hint: "h", position: 3)),
        .noticeResponse(PostgresError(.warning, "w", severity: .warning)), .parseComplete, .bindComplete,
        .closeComplete, .portalSuspended, .noData, .parameterDescription([.int4, .text]),
        .copyIn(.text, columns: [.text, .text]), .copyOut(.binary, columns: [.binary]), .copyBoth(.text, columns: []),
        .copyData([9]), .copyDone, .notification(process: 3, channel: "c", payload: "p"),
        .negotiateProtocolVersion(minor: 0, unrecognized: ["_pq_.x"]), .functionCallResponse([1]),
        .functionCallResponse(nil),
    ]

    @Test("what clients say is read as it was written, in one piece and byte by byte")
    func frontendRoundTrip() {
        let bytes = Self.frontend.flatMap(\.encoded)
        for step in [bytes.count, 1, 3, 7] {
            #expect(Self.read(bytes, step: step, FrontendMessageReader(expectsStartup: false)) == Self.frontend)
        }
    }

    private static func read(_ bytes: [UInt8], step: Int, _ reader: FrontendMessageReader) -> [FrontendMessage] {
        var found: [FrontendMessage] = []
        for start in stride(from: 0, to: bytes.count, by: step) {
            let piece = Array(bytes[start..<min(bytes.count, start + step)])
            piece.withUnsafeBytes { raw in
                var position = 0
                while case .message(let message) = reader.next(raw, &position) { found.append(message) }
            }
        }
        return found
    }

    @Test("what servers say is read as it was written, in one piece and byte by byte")
    func backendRoundTrip() {
        let bytes = Self.backend.flatMap(\.encoded)
        for step in [bytes.count, 1, 5] {
            let reader = BackendMessageReader()
            var found: [BackendMessage] = []
            for start in stride(from: 0, to: bytes.count, by: step) {
                let piece = Array(bytes[start..<min(bytes.count, start + step)])
                piece.withUnsafeBytes { raw in
                    var position = 0
                    while case .message(let message) = reader.next(raw, &position) { found.append(message) }
                }
            }
            #expect(found == Self.backend)
        }
    }

    @Test("the first messages have no letter: SSLRequest, cancel, startup")
    func opening() {
        let startup = PostgresStartup(parameters: [.init("user", "me"), .init("database", "urls")])
        let key = PostgresCancelKey(process: 1, secret: 2)
        let messages: [FrontendMessage] = [
            .sslRequest, .gssEncryptionRequest, .cancelRequest(key), .startup(startup), .query("x"),
        ]
        let bytes = messages.flatMap(\.encoded)
        #expect(Self.read(bytes, step: 4, FrontendMessageReader()) == messages)
        #expect(startup["user"] == "me" && startup.major == 3)
        // libpq's own bytes.
        #expect(FrontendMessage.sslRequest.encoded == [0, 0, 0, 8, 4, 210, 22, 47])
    }

    @Test("lengths that cannot be end the session before they take memory")
    func lengths() {
        let gigabyte: [UInt8] = [0x40, 0, 0, 0, 0, 3, 0, 0]
        let reader = FrontendMessageReader()
        gigabyte.withUnsafeBytes { raw in
            var position = 0
            let event = reader.next(raw, &position)
            #expect(event == .failed(.violation("invalid length of startup packet")))
            #expect(reader.heldByteCount == 0)
        }
        let short: [UInt8] = [UInt8(ascii: "Q"), 0, 0, 0, 3]
        let later = FrontendMessageReader(expectsStartup: false)
        short.withUnsafeBytes { raw in
            var position = 0
            let event = later.next(raw, &position)
            #expect(event == .failed(.violation("invalid message length")))
        }
    }

    @Test("a message that cannot be understood costs itself only; one of an unknown kind, the session")
    func malformed() {
        let bad: [UInt8] = [UInt8(ascii: "Q"), 0, 0, 0, 6, 0xff, 0] + FrontendMessage.sync.encoded
        let reader = FrontendMessageReader(expectsStartup: false)
        bad.withUnsafeBytes { raw in
            var position = 0
            let error = PostgresError(
                .characterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\": 0xff")
            let events = [reader.next(raw, &position), reader.next(raw, &position)]
            #expect(events == [.invalid(letter: UInt8(ascii: "Q"), error), .message(.sync)])
        }
        let unknown: [UInt8] = [UInt8(ascii: "?"), 0, 0, 0, 4]
        unknown.withUnsafeBytes { raw in
            var position = 0
            guard case .failed = FrontendMessageReader(expectsStartup: false).next(raw, &position) else {
                Issue.record("an unknown message was taken")
                return
            }
        }
    }

    @Test("random bytes and cut messages: what is understood says the same again", arguments: 0..<200 as Range<UInt64>)
    func fuzz(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var bytes = Self.frontend.flatMap(\.encoded)
        var answers = Self.backend.flatMap(\.encoded)
        for _ in 0..<1 + random.below(6) {
            bytes[random.below(bytes.count)] = UInt8(random.below(256))
            answers[random.below(answers.count)] = UInt8(random.below(256))
        }
        for message in Self.read(bytes, step: 1 + random.below(40), FrontendMessageReader(expectsStartup: false)) {
            let again = Self.read(message.encoded, step: 4096, FrontendMessageReader(expectsStartup: false))
            #expect(again == [message])
        }
        answers.withUnsafeBytes { raw in
            let reader = BackendMessageReader()
            var position = 0
            while case .message(let message) = reader.next(raw, &position) {
                message.encoded.withUnsafeBytes { written in
                    var start = 0
                    let event = BackendMessageReader().next(written, &start)
                    #expect(event == .message(message))
                }
            }
        }
    }
}
