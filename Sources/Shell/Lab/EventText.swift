import KernelStructures
import ShellSession

/// Session events as text for people: output as it is, log lines as `[TAG] …` in the tag's colour, notes of the lab's
/// own with its name in front.
public struct EventText: Sendable {
    public var usesColor: Bool
    public init(usesColor: Bool) { self.usesColor = usesColor }

    /// The bytes to show for an event and whether they belong on standard error; nil if there is nothing to show.
    public func render(_ event: SessionEvent) -> (bytes: [UInt8], isError: Bool)? {
        switch event {
        case .output(_, let isError, let bytes): (bytes, isError)
        case .log(let line, _, _): (Array((self.line(line) + "\n").utf8), false)
        case .notice(let text): (Array((faint("sdlab: " + text) + "\n").utf8), true)
        case .submitted, .typed, .jobStarted, .jobEnded, .interrupted, .progress: nil
        }
    }

    /// - Parameter node: stands before the message; nil leaves it out.
    public func line(_ line: LogLine, node: String? = nil) -> String {
        let message = (node.map { "\(faint($0 + ":")) " } ?? "") + line.message.description
        guard usesColor else { return "[\(line.tag)] \(message)" }
        let color =
            switch line.level {
            case .error: 31
            case .warning: 33
            case .debug: 90
            case .info: Self.colors[Int(stableHash(line.tag) % UInt64(Self.colors.count))]
            }
        return "\u{1B}[\(color)m[\(line.tag)]\u{1B}[0m \(message)"
    }

    public func faint(_ text: String) -> String { usesColor ? "\u{1B}[2m\(text)\u{1B}[0m" : text }

    /// Green, blue, magenta, cyan and their bright forms: red and yellow mean trouble.
    private static let colors = [32, 34, 35, 36, 92, 94, 95, 96]
}
