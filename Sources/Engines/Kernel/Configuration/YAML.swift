import CYAML
import KernelStructures

/// A value of a configuration file, with the place where it stands.
public final class ConfigurationValue {
    public enum Content {
        case scalar(String)
        case sequence([ConfigurationValue])
        case mapping([(key: ConfigurationValue, value: ConfigurationValue)])
    }

    public fileprivate(set) var content: Content
    public let place: ConfigurationPlace
    /// A scalar without quotes: only such a one can be `null`, a number or a truth value.
    public let isPlain: Bool

    init(_ content: Content, at place: ConfigurationPlace, isPlain: Bool = false) {
        self.content = content
        self.place = place
        self.isPlain = isPlain
    }

    public var isNull: Bool {
        if case .scalar(let text) = content, isPlain { return ["", "~", "null", "Null", "NULL"].contains(text) }
        return false
    }

    var kindName: String {
        switch content {
        case .scalar(let text): isNull ? "nothing" : "'\(text)'"
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }
}

/// A place in a configuration file; lines and columns count from 1.
public struct ConfigurationPlace: Equatable, Sendable, CustomStringConvertible {
    public let file: String
    public let line: Int
    public let column: Int
    public var description: String { "\(file):\(line):\(column)" }
}

/// What is wrong with a configuration, and where.
public struct ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    public let place: ConfigurationPlace
    public let text: String

    public init(_ place: ConfigurationPlace, _ text: String) {
        self.place = place
        self.text = text
    }

    public var description: String { "\(place): \(text)" }
}

/// YAML 1.1 documents through libyaml.
public enum YAML {
    /// Values in a document; more are refused, aliases counted each time.
    static let valueLimit = 100_000
    static let depthLimit = 64

    /// Reads the one document of `bytes`.
    ///
    /// - Parameter file: the name that errors give.
    /// - Throws: `ConfigurationError` with line and column for malformed text, a second document, a key that stands
    ///   twice in a mapping, or nesting beyond 64 levels.
    public static func parse(_ bytes: [UInt8], file: String) throws(ConfigurationError) -> ConfigurationValue {
        var parser = yaml_parser_t()
        guard yaml_parser_initialize(&parser) == 1 else {
            throw ConfigurationError(ConfigurationPlace(file: file, line: 1, column: 1), "out of memory")
        }
        defer { yaml_parser_delete(&parser) }
        var failure: ConfigurationError?
        let value = bytes.withUnsafeBufferPointer { buffer -> ConfigurationValue? in
            yaml_parser_set_input_string(&parser, buffer.baseAddress, buffer.count)
            var composer = Composer(parser: &parser, file: file, bytes: bytes)
            do throws(ConfigurationError) {
                return try composer.document()
            } catch {
                failure = error
                return nil
            }
        }
        if let failure { throw failure }
        return value!
    }

    /// Builds values from the parser's events.
    private struct Composer {
        let parser: UnsafeMutablePointer<yaml_parser_t>
        let file: String
        let bytes: [UInt8]
        var anchors: [String: ConfigurationValue] = [:]
        var count = 0

        init(parser: UnsafeMutablePointer<yaml_parser_t>, file: String, bytes: [UInt8]) {
            self.parser = parser
            self.bytes = bytes
            self.file = file
        }

        struct Event {
            var kind: yaml_event_type_t
            var place: ConfigurationPlace
            var text = ""
            var anchor: String?
            var isPlain = false
        }

        private func place(_ mark: yaml_mark_t) -> ConfigurationPlace {
            ConfigurationPlace(file: file, line: Int(mark.line) + 1, column: Int(mark.column) + 1)
        }

        private func next() throws(ConfigurationError) -> Event {
            var event = yaml_event_t()
            guard yaml_parser_parse(parser, &event) == 1 else { throw parseError() }
            defer { yaml_event_delete(&event) }
            var result = Event(kind: event.type, place: place(event.start_mark))
            switch event.type {
            case YAML_SCALAR_EVENT:
                let scalar = event.data.scalar
                result.text = String(
                    decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
                result.anchor = scalar.anchor.map { String(cString: $0) }
                result.isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
            case YAML_SEQUENCE_START_EVENT:
                result.anchor = event.data.sequence_start.anchor.map { String(cString: $0) }
            case YAML_MAPPING_START_EVENT:
                result.anchor = event.data.mapping_start.anchor.map { String(cString: $0) }
            case YAML_ALIAS_EVENT:
                result.text = String(cString: event.data.alias.anchor)
            default: break
            }
            return result
        }

        private func parseError() -> ConfigurationError {
            let problem = parser.pointee.problem.map { String(cString: $0) } ?? "not readable as YAML"
            let context = parser.pointee.context.map { " " + String(cString: $0) } ?? ""
            let isReaderError = parser.pointee.error == YAML_READER_ERROR
            let location =
                isReaderError ? place(ofByte: Int(parser.pointee.problem_offset)) : place(parser.pointee.problem_mark)
            return ConfigurationError(location, problem + context)
        }

        /// The reader knows only how many bytes it has seen.
        private func place(ofByte offset: Int) -> ConfigurationPlace {
            let before = bytes.prefix(offset)
            let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
            return ConfigurationPlace(
                file: file, line: before.count { $0 == UInt8(ascii: "\n") } + 1, column: before.count - lineStart + 1)
        }

        mutating func document() throws(ConfigurationError) -> ConfigurationValue {
            _ = try next()
            let start = try next()
            if start.kind == YAML_STREAM_END_EVENT {
                return ConfigurationValue(.scalar(""), at: start.place, isPlain: true)
            }
            let value = try self.value(try next(), depth: 0)
            _ = try next()
            let end = try next()
            if end.kind != YAML_STREAM_END_EVENT {
                throw ConfigurationError(end.place, "a second document; one file holds one configuration")
            }
            return value
        }

        private mutating func value(_ event: Event, depth: Int) throws(ConfigurationError) -> ConfigurationValue {
            count += 1
            if count > YAML.valueLimit { throw ConfigurationError(event.place, "more than \(YAML.valueLimit) values") }
            if depth > YAML.depthLimit {
                throw ConfigurationError(event.place, "nested more than \(YAML.depthLimit) deep")
            }
            if event.kind == YAML_ALIAS_EVENT {
                guard let known = anchors[event.text] else {
                    throw ConfigurationError(
                        event.place, "*\(event.text) refers to an anchor that does not stand before it")
                }
                return known
            }
            let value = ConfigurationValue(.scalar(event.text), at: event.place, isPlain: event.isPlain)
            switch event.kind {
            case YAML_SEQUENCE_START_EVENT: value.content = .sequence(try sequence(depth))
            case YAML_MAPPING_START_EVENT: value.content = .mapping(try mapping(depth))
            default: break
            }
            // Only now: a value cannot contain itself.
            if let anchor = event.anchor { anchors[anchor] = value }
            return value
        }

        private mutating func sequence(_ depth: Int) throws(ConfigurationError) -> [ConfigurationValue] {
            var items: [ConfigurationValue] = []
            while true {
                let event = try next()
                if event.kind == YAML_SEQUENCE_END_EVENT { return items }
                items.append(try value(event, depth: depth + 1))
            }
        }

        private mutating func mapping(_ depth: Int) throws(ConfigurationError) -> [(
            key: ConfigurationValue, value: ConfigurationValue
        )] {
            var pairs: [(key: ConfigurationValue, value: ConfigurationValue)] = []
            var seen: Set<String> = []
            while true {
                let event = try next()
                if event.kind == YAML_MAPPING_END_EVENT { return pairs }
                let key = try value(event, depth: depth + 1)
                guard case .scalar(let name) = key.content else {
                    throw ConfigurationError(key.place, "a key must be a word")
                }
                if !seen.insert(name).inserted { throw ConfigurationError(key.place, "'\(name)' stands here twice") }
                pairs.append((key, try value(try next(), depth: depth + 1)))
            }
        }
    }
}
