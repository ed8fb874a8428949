import KernelStructures

/// What a node of a cluster says that has not got a key: `MOVED 3999 127.0.0.1:7002` names who has, `ASK …` who is just
/// getting it.
package enum RedisRedirection {
    /// Whom to ask instead, and whether it has to be told `ASKING` first; nil for any other error.
    package static func parse(_ text: String) -> (isAsking: Bool, target: HostPort)? {
        let parts = text.split(separator: " ")
        guard parts.count == 3, parts[0] == "MOVED" || parts[0] == "ASK", let target = HostPort(parsing: parts[2])
        else {
            return nil
        }
        return (parts[0] == "ASK", target)
    }
}
