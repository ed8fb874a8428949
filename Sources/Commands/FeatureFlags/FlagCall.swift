import CommandKit
import FeatureFlagsEngine
import KernelJSON
import KernelStructures
import KernelWire
import ShellSession

/// The words of `flags-cli`, made into a request of the server's API.
struct FlagCall {
    var method = "GET"
    var path: String
    var query: [(name: String, value: String?)] = []
    var body: JSONValue?
    /// What it did stands in the log of the server's node.
    var isChange = false

    private static let root = "/api/flags"

    init(_ method: String = "GET", _ path: String, _ body: JSONValue? = nil, isChange: Bool = false) {
        self.method = method
        self.path = path
        self.body = body
        self.isChange = isChange
    }

    var target: String { path + HTTPQuery.text(query) }

    func fields(_ arguments: ParsedArguments, _ process: Process) -> [(name: String, value: String)] {
        var fields = [("Accept", arguments.wantsJSON ? "application/json" : "text/plain")]
        let renderer = process.session.renderer
        if process.writesToTerminal, renderer.cutsCells { fields.append(("X-Flags-Columns", "\(renderer.columns)")) }
        if let token = arguments.text("token") { fields.append(("Authorization", token)) }
        if let who = arguments.text("as") { fields.append(("X-Flags-User", who)) }
        if body != nil { fields.append(("Content-Type", "application/json")) }
        return fields
    }

    /// - Throws: `UsageError`, `CommandFailure` for a file that cannot be read.
    init(_ invocation: Invocation) throws {
        _ = try invocation.arguments.secret("token")
        let words = FlagWords(invocation)
        self = try words.call()
        if let environment = invocation.arguments.text("env") { query.append(("env", environment)) }
    }

    static func flag(_ method: String, _ name: String, _ rest: String, _ body: JSONValue? = nil, isChange: Bool = true)
        -> FlagCall
    {
        FlagCall(method, "\(root)/\(PercentCoding.encode(name))\(rest)", body, isChange: isChange)
    }

    static func flags(_ method: String, _ body: JSONValue? = nil) -> FlagCall { FlagCall(method, root, body) }
}

private struct FlagWords {
    private let arguments: ParsedArguments
    private let session: Session
    private let words: [String]

    init(_ invocation: Invocation) {
        arguments = invocation.arguments
        session = invocation.session
        words = arguments.arguments
    }

    private func fail(_ text: String) -> UsageError { UsageError("\(arguments.description.name): \(text)") }

    private var name: String { words.first ?? "" }

    func call() throws -> FlagCall {
        switch arguments.verb {
        case "create": return create()
        case "list":
            var call = FlagCall.flags("GET")
            if arguments.has("archived") { call.query.append(("archived", "1")) }
            return call
        case "show": return .flag("GET", name, "", isChange: false)
        case "enable", "disable", "kill", "revive": return .flag("POST", name, "/\(arguments.verb ?? "")")
        case "archive": return .flag("DELETE", name, "")
        case "mark": return .flag(words[1] == "stale" ? "POST" : "DELETE", name, "/stale")
        case "rollout": return try rollOut()
        case "target": return try target()
        case "untarget":
            var call = FlagCall.flag("DELETE", name, "/rules")
            if let rule = arguments.text("rule") { call.query.append(("rule", try checked(rule))) }
            if let segment = arguments.text("segment") { call.query.append(("segment", segment)) }
            return call
        case "variants": return .flag("PUT", name, "/variants", .object([("variants", .array(try variants()))]))
        case "depends": return .flag("PUT", name, "/dependencies", .object([("dependencies", .array(dependencies()))]))
        case "schedule": return try schedule()
        case "unschedule": return .flag("DELETE", name, "/schedule")
        case "evaluate", "explain": return .flag("POST", name, "/\(arguments.verb ?? "")", try user(), isChange: false)
        default: return try question()
        }
    }

    private func question() throws -> FlagCall {
        switch arguments.verb {
        case "diff": return try difference()
        case "stats":
            var call = FlagCall.flag("GET", name, "/stats", isChange: false)
            call.query.append(("last", arguments.text("last")))
            return call
        case "experiment":
            var call = FlagCall.flag("GET", name, "/experiment", isChange: false)
            call.query.append(("goal", arguments.text("goal")))
            return call
        case "track": return try track()
        case "audit":
            var call = FlagCall("GET", "/api/audit")
            call.query = [("flag", words.first), ("limit", arguments.text("limit"))]
            return call
        case "stale": return FlagCall("GET", "/api/stale")
        case "environments":
            guard let name = arguments.text("add") else { return FlagCall("GET", "/api/environments") }
            return FlagCall("POST", "/api/environments", .object([("name", .string(name))]), isChange: true)
        case "segments": return try segments()
        default: return try token()
        }
    }

    // MARK: Changes

    private func create() -> FlagCall {
        var members: [(key: String, value: JSONValue)] = [("name", .string(name))]
        for flag in ["type", "kind", "description"] {
            if let text = arguments.text(flag) { members.append((flag, .string(text))) }
        }
        return .flags("POST", .object(members))
    }

    private func rollOut() throws -> FlagCall {
        guard let percent = arguments.integer("percent") else { throw fail("to how much? add --percent 10") }
        var members: [(key: String, value: JSONValue)] = [("percent", .integer(percent))]
        if let field = arguments.text("stickiness") { members.append(("stickiness", .string(field))) }
        return .flag("PUT", name, "/rollout", .object(members))
    }

    private func target() throws -> FlagCall {
        let people = try people()
        guard !people.isEmpty else { throw fail("whom? add --rule 'user.country == \"US\"', or --segment NAME") }
        let percent = arguments.integer("percent") ?? 100
        return .flag("POST", name, "/rules", .object(people + [("percent", .integer(percent))]))
    }

    /// By rule, by segment or by both.
    private func people() throws -> [(key: String, value: JSONValue)] {
        var members: [(key: String, value: JSONValue)] = []
        if let rule = arguments.text("rule") { members.append(("rule", .string(try checked(rule)))) }
        if let segment = arguments.text("segment") { members.append(("segment", .string(segment))) }
        return members
    }

    /// What is wrong with a rule is shown here, with a mark at its place, before anybody is asked.
    private func checked(_ rule: String) throws -> String {
        do throws(TargetingRuleError) {
            _ = try TargetingRule(parsing: rule).products()
            return rule
        } catch {
            let picture = error.picture
            throw fail(error.description + (picture.isEmpty ? "" : "\n" + picture))
        }
    }

    /// `red=50`, or with a payload `red=50:#f00`.
    private func variants() throws -> [JSONValue] {
        try words.dropFirst().map { word in
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let value =
                parts.count > 1 ? parts[1].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false) : []
            guard let weight = value.first.flatMap({ Int($0) }), FlagVariantDefinition.weightRange.contains(weight)
            else {
                throw fail("'\(word)' is no variant; write NAME=WEIGHT or NAME=WEIGHT:PAYLOAD, such as red=50")
            }
            let payload = value.count > 1 ? FlagPayload(type: payloadType, value: String(value[1])) : nil
            return FlagVariantDefinition(
                String(parts[0]), weight: weight, stickiness: arguments.text("stickiness"), payload: payload
            ).json
        }
    }

    private var payloadType: String { arguments.text("payload-type") ?? "string" }

    /// `parent`, or `!parent` for one that must be off.
    private func dependencies() -> [JSONValue] {
        words.dropFirst().map { word in
            word.hasPrefix("!")
                ? FlagDependency(String(word.dropFirst()), isEnabled: false).json : FlagDependency(word).json
        }
    }

    private func schedule() throws -> FlagCall {
        guard let text = arguments.text("steps") else { throw fail("which steps? add --steps 1,10,50,100") }
        let steps = try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            let digits = part.hasSuffix("%") ? part.dropLast() : part
            guard let percent = Int(digits), (0...100).contains(percent) else {
                throw fail("--steps: '\(part)' is no percentage of 0 to 100")
            }
            return JSONValue.integer(percent)
        }
        guard let every = arguments.text("every") else { throw fail("how far apart? add --every 1h") }
        var members: [(key: String, value: JSONValue)] = [("steps", .array(steps)), ("every", .string(every))]
        if let start = arguments.text("start") { members.append(("start", .string(start))) }
        return .flag("PUT", name, "/schedule", .object(members))
    }

    // MARK: Questions

    /// A context as JSON, or just an id.
    private func user() throws -> JSONValue {
        guard let text = arguments.text("user") else {
            throw fail("for whom? add --user 123, or --user '{\"id\":\"123\"}'")
        }
        return try user(text, "--user")
    }

    private func user(_ text: String, _ place: String) throws -> JSONValue {
        if text.allSatisfy(\.isWhitespace) || text.first(where: { !$0.isWhitespace }) == "[" {
            throw fail("\(place): '\(text.prefix(40))' is nobody; write an id, or a context such as {\"id\":\"123\"}")
        }
        guard text.first(where: { !$0.isWhitespace }) == "{" else { return .object([("id", .string(text))]) }
        do throws(JSONError) { return try JSONValue(parsing: text) } catch { throw fail("\(place): \(error)") }
    }

    private func difference() throws -> FlagCall {
        var members: [(key: String, value: JSONValue)] = []
        if let percent = arguments.integer("percent") { members.append(("percent", .integer(percent))) }
        members += try people()
        if arguments.has("enable") { members.append(("enabled", true)) }
        if arguments.has("disable") { members.append(("enabled", false)) }
        guard !members.isEmpty else {
            throw fail("what would change? add --percent 25, --rule, --segment, --enable or --disable")
        }
        if let file = arguments.text("users") {
            members.append(
                ("users", .array(try lines(of: file).enumerated().map { try user($1, "\(file):\($0 + 1)") })))
        }
        if let count = arguments.integer("count") { members.append(("count", .integer(count))) }
        return .flag("POST", name, "/diff", .object(members), isChange: false)
    }

    private func lines(of file: String) throws -> [String] {
        let bytes: [UInt8]
        do { bytes = try session.files.read(file) } catch { throw CommandFailure("\(error)") }
        return bytes.split { $0 == 10 || $0 == 13 }.map { String(decoding: $0, as: UTF8.self) }
    }

    private func track() throws -> FlagCall {
        let users: [JSONValue]
        if let file = arguments.text("users") {
            users = try lines(of: file).enumerated().map { try user($1, "\(file):\($0 + 1)") }
        } else {
            users = [try user()]
        }
        let goal = arguments.text("goal")
        let events = users.map { user -> JSONValue in
            .object([("user", user)] + (goal.map { [("goal", .string($0))] } ?? []))
        }
        return .flag("POST", name, "/events", .array(events), isChange: false)
    }

    private func segments() throws -> FlagCall {
        guard let name = arguments.text("add") else { return FlagCall("GET", "/api/segments") }
        guard let rule = arguments.text("rule") else { throw fail("whom does it hold? add --rule") }
        let products: [[FlagConstraint]]
        let text = try checked(rule)
        do throws(TargetingRuleError) { products = try TargetingRule(parsing: text).products() } catch {
            throw fail("\(error)")
        }
        guard products.count == 1 else { throw fail("--rule: a segment knows no 'or'; make several segments") }
        return FlagCall(
            "POST", "/api/segments",
            .object([("name", .string(name)), ("constraints", .array(products[0].map(\.json)))]))
    }

    private func token() throws -> FlagCall {
        switch words[0] {
        case "create":
            guard words.count == 2 else { throw fail("what is it called? flags-cli token create NAME") }
            return FlagCall(
                "POST", "/api/tokens",
                .object([("name", .string(words[1])), ("kind", .string(arguments.text("kind") ?? "client"))]))
        case "remove":
            guard words.count == 2 else { throw fail("which one? flags-cli token remove NAME") }
            return FlagCall("DELETE", "/api/tokens/\(PercentCoding.encode(words[1]))")
        default: return FlagCall("GET", "/api/tokens")
        }
    }
}
