import Foundation
import KernelAMQP
import KernelJSON
import KernelStructures
import Testing

@Suite struct AMQPCodecTests {
    /// RabbitMQ's own description of the protocol; nil where it is not there.
    static let specification: JSONValue? = {
        let root = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        guard let data = FileManager.default.contents(atPath: root + "/../shared/vectors/amqp/amqp-rabbitmq-0.9.1.json")
        else {
            print("skipped: ../shared/vectors/amqp is not there")
            return nil
        }
        return try? JSONValue(parsing: Array(data))
    }()

    private static func text(_ value: JSONValue?) -> String {
        if case .string(let text)? = value { return text }
        return ""
    }
    private static func number(_ value: JSONValue?) -> UInt16 {
        if case .integer(let number)? = value { return UInt16(clamping: number) }
        return 0
    }
    private static func list(_ value: JSONValue?) -> [JSONValue] {
        if case .array(let list)? = value { return list }
        return []
    }

    /// Each method's arguments as the specification has them, with recognisable values.
    private static func example(_ arguments: [JSONValue], _ domains: [String: String]) -> [UInt8] {
        var writer = AMQPWriter()
        var bits: [Bool] = []
        func flush() {
            if !bits.isEmpty { writer.append(bits: bits) }
            bits = []
        }
        for (index, argument) in arguments.enumerated() {
            var type = text(argument["type"])
            if type.isEmpty { type = domains[text(argument["domain"])] ?? "" }
            let name = text(argument["name"])
            // Reserved ones are written as nothing, and must come back as nothing.
            let isReserved = [
                "ticket", "capabilities", "insist", "known-hosts", "out-of-band", "channel-id", "cluster-id",
            ].contains(name)
            if type != "bit" { flush() }
            switch type {
            case "bit": bits.append(!isReserved && index % 2 == 0)
            case "octet": writer.append(octet: UInt8(index + 1))
            case "short": writer.append(short: isReserved ? 0 : UInt16(index + 300))
            case "long": writer.append(long: UInt32(index + 70_000))
            case "longlong", "timestamp": writer.append(longLong: UInt64(index) + (1 << 40))
            case "shortstr": writer.append(shortString: isReserved ? "" : "text \(index)")
            case "longstr": writer.append(longString: isReserved ? [] : Array("long \(index)".utf8))
            case "table": writer.append(table: ["a": .int32(Int32(index)), "b": "text"])
            default: Issue.record("unknown type \(type)")
            }
        }
        flush()
        return writer.bytes
    }

    /// All 66 methods are read and written as RabbitMQ's description has them.
    @Test func everyMethodIsTheSpecifications() throws {
        guard let specification = Self.specification else { return }
        let domains = Dictionary(
            uniqueKeysWithValues: Self.list(specification["domains"]).map {
                (Self.text($0[0]), Self.text($0[1]))
            })
        var count = 0
        for type in Self.list(specification["classes"]) {
            for method in Self.list(type["methods"]) {
                let id = AMQPMethodID(Self.number(type["id"]), Self.number(method["id"]))
                let name = "\(Self.text(type["name"])).\(Self.text(method["name"]))"
                #expect(id.name == name)
                var writer = AMQPWriter()
                writer.append(short: id.classID)
                writer.append(short: id.methodID)
                let isAccess = name == "access.request-ok"
                var bytes = Self.example(Self.list(method["arguments"]), domains)
                if isAccess { bytes = [0, 9] }
                writer.append(raw: bytes)
                let read = try writer.bytes.withUnsafeBytes { try AMQPMethod(payload: $0) }
                #expect(read.id == id)
                var again = AMQPWriter()
                read.encode(to: &again)
                #expect(again.bytes == writer.bytes, "\(name)")
                count += 1
            }
        }
        #expect(count == 66)
        for constant in Self.list(specification["constants"]) {
            let kind = Self.text(constant["class"])
            if kind.isEmpty { continue }
            let code = try #require(AMQPReplyCode(rawValue: Self.number(constant["value"])))
            #expect(code.name == Self.text(constant["name"]).replacing("-", with: "_"))
            // RabbitMQ's 311 to 313 are soft errors as well.
            #expect(code.closesOnlyChannel == (kind == "soft-error"))
        }
    }

    static let everything: AMQPTable = [
        "t": .boolean(true), "b": .int8(-5), "B": .uint8(200), "s": .int16(-300), "u": .uint16(65_000),
        "I": .int32(-70_000), "i": .uint32(4_000_000_000), "l": .int64(.min), "f": .float(1.5), "d": .double(-2.25),
        "D": .decimal(scale: 2, value: -314), "S": "text", "x": .bytes([0, 255]), "T": .timestamp(1_700_000_000),
        "F": .table(["inner": .table([:])]), "A": .array([.int8(1), "two", .array([])]), "V": .void,
    ]

    @Test func tablesComeBackAsTheyWere() throws {
        #expect(try AMQPTable(encoded: Self.everything.encoded) == Self.everything)
        // From the specification: type letters, lengths in network order.
        #expect((["a": .int32(1)] as AMQPTable).encoded == [0, 0, 0, 7, 1, 0x61, 0x49, 0, 0, 0, 1])
    }

    @Test func nestingIsBounded() {
        var value = AMQPValue.void
        for _ in 0..<40 { value = .table(["x": value]) }
        #expect(throws: AMQPFailure.self) { try AMQPTable(encoded: (["x": value] as AMQPTable).encoded) }
    }

    @Test func propertiesComeBackAsTheyWere() throws {
        var properties = AMQPProperties(headers: Self.everything)
        properties.contentType = "application/json"
        properties.deliveryMode = 2
        properties.priority = 7
        properties.expiration = "60000"
        properties.messageID = "m-1"
        properties.timestamp = 5
        properties.clusterID = "c"
        #expect(try AMQPProperties(encoded: properties.encoded) == properties)
        // Flags: content type is the highest bit.
        var plain = AMQPProperties()
        plain.contentType = "a"
        #expect(plain.encoded == [0x80, 0, 1, 0x61])
        plain = AMQPProperties()
        plain.deliveryMode = 2
        #expect(plain.encoded.withUnsafeBytes { AMQPProperties.plainDeliveryMode($0) } == 2)
    }

    /// However the bytes are cut, the same frames come out.
    @Test func framesDoNotDependOnHowBytesAreCut() {
        var writer = AMQPWriter()
        writer.append(.queueDeclareOk(queue: "q", messageCount: 1, consumerCount: 2), channel: 1)
        writer.appendHeartbeat()
        let body = [UInt8](repeating: 7, count: 10_000)
        body.withUnsafeBytes { writer.appendContent(properties: [0, 0], body: $0, channel: 3, frameMax: 4096) }
        func frames(cutAt size: Int) -> [String] {
            let reader = AMQPFrameReader()
            var result: [String] = []
            for start in stride(from: 0, to: writer.count, by: size) {
                let piece = Array(writer.bytes[start..<min(start + size, writer.count)])
                piece.withUnsafeBytes { raw in
                    var position = 0
                    while case .frame(let kind, let channel, let payload) = reader.next(raw, &position) {
                        result.append("\(kind) \(channel) \(Array(payload).hashValue)")
                    }
                }
            }
            return result
        }
        let whole = frames(cutAt: writer.count)
        #expect(whole.count == 6)
        for size in [1, 2, 3, 7, 8, 9, 100, 4095, 4096, 4097] { #expect(frames(cutAt: size) == whole) }
    }

    @Test func framesThatAreTooLargeOrUnfinishedAreRefused() {
        func failure(_ bytes: [UInt8]) -> AMQPReplyCode? {
            let reader = AMQPFrameReader()
            return bytes.withUnsafeBytes { raw in
                var position = 0
                if case .failed(let failure) = reader.next(raw, &position) { return failure.code }
                return nil
            }
        }
        #expect(failure([1, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]) == .frameError)
        #expect(failure([9, 0, 0, 0, 0, 0, 0]) == .frameError)
        #expect(failure([8, 0, 0, 0, 0, 0, 0, 0xCD]) == .frameError)
        #expect(failure([8, 0, 0, 0, 0, 0, 0, 0xCE]) == nil)
    }

    /// What is damaged is refused, or read and written again as it was read: never trapped on, never misread.
    @Test func damagedMethodsAreReadConsistentlyOrRefused() {
        var random = SeededRandom(seed: 11)
        var seeds: [[UInt8]] = []
        for method in Self.samples {
            var writer = AMQPWriter()
            method.encode(to: &writer)
            seeds.append(writer.bytes)
        }
        var accepted = 0
        for _ in 0..<20_000 {
            var bytes = seeds[Int(random.next() % UInt64(seeds.count))]
            for _ in 0..<Int(random.next() % 4) {
                let place = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 3 {
                case 0: bytes[place] = UInt8(truncatingIfNeeded: random.next())
                case 1 where bytes.count > 1: bytes.remove(at: place)
                default: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
                }
            }
            guard let method = bytes.withUnsafeBytes({ try? AMQPMethod(payload: $0) }) else { continue }
            accepted += 1
            var writer = AMQPWriter()
            method.encode(to: &writer)
            let again = writer.bytes.withUnsafeBytes { try? AMQPMethod(payload: $0) }
            // Not a number is not equal to itself.
            if !"\(method)".contains("nan") { #expect(again == method) }
        }
        #expect(accepted > 1000)
    }

    static let samples: [AMQPMethod] = [
        .connectionStartOk(
            clientProperties: everything, mechanism: "PLAIN", response: [0, 1], locale: "en_US"),
        .queueDeclare(
            queue: "q", passive: false, durable: true, exclusive: false, autoDelete: true, noWait: false,
            arguments: everything),
        .basicPublish(exchange: "e", routingKey: "k", mandatory: true, immediate: false),
        .basicDeliver(consumerTag: "c", deliveryTag: 7, redelivered: true, exchange: "e", routingKey: "k"),
        .basicAck(deliveryTag: 1, multiple: true), .confirmSelect(noWait: true), .txCommit,
    ]

    @Test func urlsAreRabbitMQs() throws {
        let full = try AMQPURL("amqp://us%2Fer:pa%3Ass@host:10000/v%2fhost")
        #expect(full.user == "us/er" && full.password == "pa:ss" && full.host == "host" && full.port == 10000)
        #expect(full.virtualHost == "v/host")
        let plain = try AMQPURL("amqp://host")
        #expect(plain.virtualHost == "/" && plain.port == 5672 && plain.user == "guest")
        #expect(try AMQPURL("amqp://host/").virtualHost.isEmpty)
        #expect(try AMQPURL("amqps://[::1]").port == 5671)
        #expect(try AMQPURL("[::1]:5673").port == 5673)
        #expect(try AMQPURL("5673").host == "localhost")
        #expect(throws: AMQPURL.Malformed.self) { try AMQPURL("http://host") }
        #expect(throws: AMQPURL.Malformed.self) { try AMQPURL("amqp://host:99999") }
        #expect(throws: AMQPURL.Malformed.self) { try AMQPURL("amqp://us%ZZer@host") }
    }
}
