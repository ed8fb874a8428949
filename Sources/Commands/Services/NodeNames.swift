import CommandKit

/// Node names become host names and stand in fault rules.
package func checkNodeName(_ name: String, command: String) throws {
    let isFine =
        !name.isEmpty && name.count <= 63 && name.first != "-" && name.first != "%"
        && name.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }
    guard isFine else {
        throw UsageError("\(command): '\(name)' cannot be a name; letters, digits, - _ . and at most 63 of them")
    }
    guard !["client", "outside", "localhost", "host.internal"].contains(name.lowercased()) else {
        throw UsageError("\(command): the name '\(name)' is taken by the lab itself")
    }
}
