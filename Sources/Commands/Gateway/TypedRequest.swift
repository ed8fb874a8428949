import CommandKit
import GatewayEngine
import KernelStructures
import KernelWire
import ShellLanguage
import ShellSession

/// A request as somebody would type it: `curl -H 'X-Beta: 1' https://gateway/api/users`. It is read, and not sent.
struct TypedRequest {
    let head: HTTPHead
    let url: HTTPURL

    /// - Throws: `UsageError` for what is no curl command, `CommandFailure` for what cannot be a request.
    init(_ text: String, _ session: Session) throws {
        let words = try Self.words(text)
        guard words.first == "curl", let curl = session.commands["curl"] else {
            throw UsageError(
                "explain: '\(text.prefix(80))' is no curl command, such as 'curl https://gateway/api/users'")
        }
        let arguments = try ParsedArguments(words.dropFirst(), for: curl.description)
        let urls = arguments.texts("url") + arguments.arguments
        guard urls.count == 1 else { throw UsageError("explain: curl with one URL, not \(urls.count)") }
        do throws(HTTPURL.Malformed) {
            url = try HTTPURL(urls[0])
        } catch {
            throw UsageError("explain: \(error)")
        }
        let hasBody = ["data", "data-raw", "data-binary", "data-urlencode", "json"].contains { arguments.has($0) }
        let method = arguments.text("request") ?? (arguments.has("head") ? "HEAD" : hasBody ? "POST" : "GET")
        var fields: [(name: String, value: String)] = []
        for line in arguments.texts("header") {
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw UsageError("explain: -H: '\(line)' is no field; write 'Name: value'") }
            fields.append((String(parts[0]), String(parts[1].drop { $0 == " " })))
        }
        head = try Self.head(method, urls[0], url, fields)
    }

    /// The words of a command without anything that would have to be expanded.
    private static func words(_ text: String) throws -> [String] {
        let script: Script
        do throws(SyntaxError) {
            script = try Parser.parse(text)
        } catch {
            throw UsageError("explain: \(error)")
        }
        guard script.statements.count == 1, let simple = Self.simple(script) else {
            throw UsageError("explain: one command, without pipes and the like")
        }
        return try simple.words.map { word in
            guard let literal = word.literal else {
                throw UsageError("explain: variables are to be expanded before; write \"curl …\" in double quotes")
            }
            return literal
        }
    }

    private static func simple(_ script: Script) -> SimpleCommand? {
        guard let pipeline = script.statements.first?.first, pipeline.commands.count == 1,
            case .simple(let command)? = pipeline.commands.first
        else { return nil }
        return command
    }

    private static func head(
        _ method: String, _ typed: String, _ url: HTTPURL, _ fields: [(name: String, value: String)]
    ) throws -> HTTPHead {
        // As it was typed: dots and all, which clients take out and attackers do not.
        let rest = typed.firstRange(of: "://").map { typed[$0.upperBound...] } ?? typed[...]
        let path = rest.firstIndex(of: "/").map { String(rest[$0...].prefix { $0 != "#" }) } ?? "/"
        guard path.utf8.allSatisfy({ $0 > 32 && $0 != 127 }), HTTPToken.isValid(method) else {
            throw UsageError("explain: '\(method) \(path)' cannot be a request")
        }
        var bytes: [UInt8] = []
        HTTPWriter.requestLine(method, path, into: &bytes)
        if !fields.contains(where: { $0.name.lowercased() == "host" }) {
            HTTPWriter.field("Host", url.authority, into: &bytes)
        }
        for (name, value) in fields {
            guard HTTPWriter.isSafeField(name: name, value: value) else {
                throw UsageError("explain: -H: '\(name)' has characters that no field can have")
            }
            HTTPWriter.field(name, value, into: &bytes)
        }
        HTTPWriter.endHead(&bytes)
        var reader = HTTPReader(.requests)
        var position = 0
        let event = bytes.withUnsafeBytes { reader.next($0, &position) }
        if case .failed(let error) = event { throw CommandFailure("explain: that is no request: \(error)") }
        guard event == .head else { throw CommandFailure("explain: that is no whole request") }
        return reader.head
    }
}
