/// What several commands say when a request makes no sense.
public enum Complaint {
    public static let syntax = "ERR syntax error"
    public static let integer = "ERR value is not an integer or out of range"
    public static let float = "ERR value is not a valid float"
    public static let overflow = "ERR increment or decrement would overflow"
    public static func expiry(_ command: String) -> String { "ERR invalid expire time in '\(command)' command" }
    public static func count(_ command: String) -> String { "ERR wrong number of arguments for '\(command)' command" }
}
