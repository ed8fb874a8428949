import CommandKit
import KernelStructures
import ShellSession

/// The two old checksums: `cksum` and `sum`.
extension GeneralCommands {
    static var cksum: Command {
        let description = CommandDescription(
            "cksum", "a checksum of 32 bits, and how many bytes there are", usage: "[FILE…]",
            arguments: .init([.file], 0...1000), examples: ["cksum lb.yaml"], group: .files,
            details: "Tells accidents, not forgers: sha256sum does.")
        return Command(description) { invocation in
            let isNamed = !invocation.arguments.arguments.isEmpty
            return .running(
                WholeInput(invocation.process, files: invocation.arguments.arguments) { tool, sources in
                    for source in sources {
                        let sum = cyclicSum(source.bytes)
                        tool.process.print("\(sum) \(source.bytes.count)\(isNamed ? " " + source.name : "")")
                    }
                    return 0
                })
        }
    }

    static var sum: Command {
        let description = CommandDescription(
            "sum", "a checksum of 16 bits, and how many blocks of 1024 bytes there are", usage: "[FILE…]",
            arguments: .init([.file], 0...1000), examples: ["sum lb.yaml"], group: .files,
            details: "Tells accidents, not forgers: sha256sum does.")
        return Command(description) { invocation in
            let names = invocation.arguments.arguments
            return .running(
                WholeInput(invocation.process, files: names) { tool, sources in
                    for source in sources {
                        var sum: UInt32 = 0
                        for byte in source.bytes { sum = (sum >> 1 + (sum & 1) << 15 + UInt32(byte)) & 0xFFFF }
                        let blocks = String((source.bytes.count + 1023) / 1024)
                        tool.process.print(
                            padded(Int(sum), 5) + " " + blocks.leftPadded(to: 5)
                                + (names.isEmpty ? "" : " " + source.name))
                    }
                    return 0
                })
        }
    }

    /// POSIX, the description of `cksum`: the polynomial of Ethernet, highest bit first, with the length behind.
    private static func cyclicSum(_ bytes: [UInt8]) -> UInt32 {
        let table = (0..<256).map { index -> UInt32 in
            (0..<8).reduce(UInt32(index) << 24) { sum, _ in
                sum & 0x8000_0000 != 0 ? sum << 1 ^ 0x04C1_1DB7 : sum << 1
            }
        }
        var sum: UInt32 = 0
        for byte in bytes { sum = sum << 8 ^ table[Int(sum >> 24 ^ UInt32(byte))] }
        var length = bytes.count
        while length > 0 {
            sum = sum << 8 ^ table[Int(sum >> 24 ^ UInt32(length & 255))]
            length >>= 8
        }
        return ~sum
    }
}
