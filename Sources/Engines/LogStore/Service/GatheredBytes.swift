/// Bytes of messages of all connections together whose ends have not come: each has a limit of its own, and many of
/// them would be the end of the node.
final class GatheredBytes {
    let limit: Int
    private(set) var count = 0

    init(limit: Int) { self.limit = limit }

    func change(by bytes: Int) { count += bytes }
    var isTooMuch: Bool { count > limit }
}
