import KernelStructures
import KernelWorld

/// `INFO`: sections of names and values, by Redis's names where it has them, and only what is true.
extension RESPServer {
    public typealias InformationLine = (String, String)

    /// Whether a section is asked for, by its name or with others.
    public static func isInformationWanted(_ section: String, _ wanted: [String]) -> Bool {
        if wanted.contains(where: { ["all", "everything", section].contains($0) }) { return true }
        return section != "commandstats" && (wanted.isEmpty || wanted.contains("default"))
    }

    /// The sections that are asked for, each under its title.
    public static func information(
        _ sections: [String], wanted: [String], lines: (String) -> [InformationLine]
    ) -> String {
        var text = ""
        for section in sections where isInformationWanted(section, wanted) {
            if !text.isEmpty { text += "\r\n" }
            let isShort = ["cpu", "lsm"].contains(section)
            text += "# \(isShort ? section.uppercased() : section.prefix(1).uppercased() + section.dropFirst())\r\n"
            for (name, value) in lines(section) { text += "\(name):\(value)\r\n" }
        }
        return text
    }

    /// - Parameters:
    ///   - version: Redis's, which its clients go by.
    ///   - compatibility: how much of it is the same, in words.
    public func serverSection(
        name: String, version: String, mode: String = "standalone", compatibility: String, port: UInt16
    ) -> [InformationLine] {
        let uptime = Int((node.world.now - startedAt).seconds)
        return [
            ("redis_version", version), ("redis_mode", mode), ("arch_bits", "\(Int.bitWidth)"), ("server_name", name),
            ("compatibility", compatibility), ("tcp_port", "\(port)"), ("uptime_in_seconds", "\(uptime)"),
            ("uptime_in_days", "\(uptime / 86400)"), ("node", node.name),
        ]
    }

    /// Of the whole process; 0 where time is the lab's own, and processors have none.
    public var processorSection: [InformationLine] {
        let used = node.world.processorTime
        func seconds(_ duration: LabDuration) -> String { fixedDecimal(duration.seconds, places: 6) }
        return [
            ("used_cpu_sys", seconds(used.system)), ("used_cpu_user", seconds(used.user)),
            ("used_cpu_sys_children", seconds(used.childrenSystem)),
            ("used_cpu_user_children", seconds(used.childrenUser)),
            ("used_cpu_sys_main_thread", seconds(used.threadSystem)),
            ("used_cpu_user_main_thread", seconds(used.threadUser)),
        ]
    }

    /// Of the commands that were called.
    public var commandSection: [InformationLine] {
        table.commands.flatMap { [$0] + $0.subcommandList }.filter { $0.callCount > 0 }.map {
            ("cmdstat_\($0.name)", "calls=\($0.callCount),failed_calls=\($0.failureCount)")
        }
    }
}
