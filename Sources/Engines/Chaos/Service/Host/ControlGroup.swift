import ChaosEngine
import KernelStructures

/// A control group that is made for one program: what it may use of memory and processor, version 1 or 2 of the
/// kernel's interface (cgroups(7)).
struct ControlGroup {
    enum Version: String { case one = "v1", two = "v2" }

    let version: Version
    private let name: String
    private let memoryLimitBytes: Int?

    private static let root = "/sys/fs/cgroup"

    /// Makes one below the root and puts a process into it.
    ///
    /// - Throws: why there can be none, in the kernel's words.
    init(_ name: String, memoryLimitBytes: Int?, process: Int, _ shell: any HostScripting) throws(HostAccess.Refusal) {
        let script = """
            if [ -e \(Self.root)/cgroup.controllers ]; then
              echo '+cpu +memory' > \(Self.root)/cgroup.subtree_control
              mkdir \(Self.root)/\(name) && [ -e \(Self.root)/\(name)/memory.max ] &&
              echo \(process) > \(Self.root)/\(name)/cgroup.procs && echo v2
            else
              exit_status=
              for kind in memory cpu; do
                group=\(Self.root)/$kind/\(name)
                mkdir $group && echo \(process) > $group/cgroup.procs || exit_status=1
              done
              [ -z "$exit_status" ] && echo v1
            fi
            """
        let answer = shell.run(script, limit: .seconds(5))
        let lines = answer.output.split(separator: "\n").map(String.init)
        guard answer.status == 0, let version = lines.last.flatMap({ Version(rawValue: $0) }) else {
            throw HostAccess.Refusal("no control groups here: \(lines.first ?? "the kernel has none")")
        }
        self.version = version
        self.name = name
        self.memoryLimitBytes = memoryLimitBytes
    }

    /// A script that removes all groups of a prefix, once nobody is in them; for whoever outlives their maker.
    static func removal(_ prefix: String) -> String {
        "for i in 1 2 3 4 5 6 7 8 9 10; do "
            + "rmdir \(root)/\(prefix)-* \(root)/memory/\(prefix)-* \(root)/cpu/\(prefix)-* 2>/dev/null; "
            + "sleep 0.1; done"
    }

    private var memory: String {
        version == .two ? "\(Self.root)/\(name)/memory.max" : "\(Self.root)/memory/\(name)/memory.limit_in_bytes"
    }

    private var usage: String {
        version == .two ? "\(Self.root)/\(name)/memory.current" : "\(Self.root)/memory/\(name)/memory.usage_in_bytes"
    }

    private var processor: String {
        version == .two ? "\(Self.root)/\(name)/cpu.max" : "\(Self.root)/cpu/\(name)/cpu.cfs_quota_us"
    }

    /// Gives it its limit, or none.
    var memoryFree: String {
        let limit = memoryLimitBytes.map(String.init) ?? (version == .two ? "max" : "-1")
        return "echo \(limit) > \(memory)"
    }

    /// It may have what it has now, and no page more: what it asks for next is refused by the out-of-memory killer.
    var memoryFull: String { "used=$(cat \(usage)) && echo $used > \(memory) && echo $used" }

    /// Others take that share, 0…1: it has the rest of each 100 ms.
    func processorTaken(_ share: Double) -> String {
        let quota = max(1000, Int((100_000 * (1 - share)).rounded()))
        return "echo \(quota)\(version == .two ? " 100000" : "") > \(processor)"
    }

    var processorFree: String { "echo \(version == .two ? "max 100000" : "-1") > \(processor)" }
}
