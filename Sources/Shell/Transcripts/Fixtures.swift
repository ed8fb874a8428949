import ShellSession

/// States of the lab that a case begins with and that no command would reach in a reasonable time: `@fixture NAME`.
/// Components bring theirs; none needs one yet.
enum Fixtures {
    typealias Fixture = @Sendable (Session, [String]) throws -> Void
    static let all: [String: Fixture] = [:]
}
