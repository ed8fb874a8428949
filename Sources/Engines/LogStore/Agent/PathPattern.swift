import KernelRegularExpressions
import KernelStorage

/// Paths whose last part may have `*`, `?` and `[…]`: `/var/log/app/*.log`.
struct PathPattern {
    let directory: String
    private let name: String
    /// Nil where the last part is a plain name.
    private let expression: RegularExpression?

    init(_ path: String) {
        directory = DiskPath.parent(of: path)
        name = DiskPath.name(of: path)
        let isPattern = name.utf8.contains { "*?[".utf8.contains($0) }
        expression = isPattern ? try? RegularExpression(Self.translated(name)) : nil
    }

    private static func translated(_ name: String) -> String {
        var result = ""
        var isInSet = false
        for scalar in name.unicodeScalars {
            switch scalar {
            case "*" where !isInSet: result += "[^/]*"
            case "?" where !isInSet: result += "[^/]"
            case "[" where !isInSet:
                isInSet = true
                result += "["
            case "]" where isInSet:
                isInSet = false
                result += "]"
            case "!" where isInSet && result.hasSuffix("["): result += "^"
            case "-" where isInSet: result += "-"
            default:
                let isPlain = scalar.value >= 0x80 || scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
                result += isPlain ? String(scalar) : "\\" + String(scalar)
            }
        }
        return result
    }

    /// The paths that fit, sorted; a plain path whether it is there or not.
    func paths(_ disk: NodeDisk) -> [String] {
        guard let expression else { return [DiskPath.normalized(name, in: directory)] }
        let names = (try? disk.list(directory)) ?? []
        return names.filter { !$0.hasPrefix(".") && expression.matchesWhole($0) }
            .map { DiskPath.normalized($0, in: directory) }
    }
}
