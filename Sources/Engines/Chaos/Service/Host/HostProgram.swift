import ChaosEngine
import KernelStructures
import KernelWorld

/// One program of the machine in namespaces of its own: a network with one interface, mounts, processes.
///
/// Its first process there is a shell that takes this class's scripts. It reads them from the runner, so it ends when
/// the runner is gone, whoever has killed it; the kernel ends everything else in there with it, and a network or a disk
/// that nobody is in any more is gone, with what was wrong with it. For a runner that hangs there is a watch beside it,
/// which undoes everything when the lease has run out.
final class HostProgram {
    typealias Refusal = HostAccess.Refusal

    let plan: HostProgramPlan
    /// Where its port is, for those in the runner's network.
    let address: String
    private let inner: any HostScripting
    private(set) var group: ControlGroup?
    /// Why there is no group, or no netem.
    private(set) var groupProblem = ""
    private(set) var netemProblem: String?

    private static let patience = LabDuration.seconds(10)

    /// - Parameters:
    ///   - number: 1…16, for its addresses.
    ///   - prefix: of the names of control groups.
    ///   - outer: a shell in the runner's own network.
    init(
        _ plan: HostProgramPlan, number: Int, prefix: String, outer: any HostScripting, access: HostAccess
    ) throws(Refusal) {
        guard let makeShell = access.makeShell else { throw Refusal("this process may not touch the machine") }
        self.plan = plan
        address = "10.77.\(number).2"
        inner = try makeShell(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "/bin/sh"])
        do throws(Refusal) {
            try build(number, prefix, outer)
        } catch {
            inner.close()
            throw error
        }
    }

    private func build(_ number: Int, _ prefix: String, _ outer: any HostScripting) throws(Refusal) {
        try need(inner, "f=$(mktemp) && exec 8<>$f && rm $f && f=$(mktemp) && exec 9<>$f && rm $f && ip link set lo up")
        let parent = inner.processNumber
        let found = try need(outer, "cat /proc/\(parent)/task/\(parent)/children")
        guard let process = Int(found.prefix { $0.isNumber }) else { throw Refusal("unshare has no child") }
        try need(
            outer,
            "ip link add sdlab\(number) type veth peer name eth0 netns \(process) && "
                + "ip addr add 10.77.\(number).1/30 dev sdlab\(number) && ip link set sdlab\(number) up")
        try need(inner, "ip addr add \(address)/30 dev eth0 && ip link set eth0 up")
        if let disk = plan.disk {
            let answer = inner.run(
                "[ -d \(disk.path) ] && mount -t tmpfs -o size=\(disk.sizeBytes) tmpfs \(disk.path)",
                limit: Self.patience)
            if answer.status != 0 {
                throw Refusal(
                    "\(plan.name): no disk at \(disk.path): \(Self.line(answer.output) ?? "there is no such directory")"
                )
            }
        }
        do throws(Refusal) {
            let made = try ControlGroup(
                "\(prefix)-\(number)", memoryLimitBytes: plan.memoryBytes, process: process, outer)
            try need(inner, made.memoryFree)
            group = made
        } catch {
            groupProblem = error.description
        }
        let probe = inner.run(
            "tc qdisc add dev eth0 root netem delay 1ms && \(NetworkEmulation.removal)", limit: Self.patience)
        if probe.status != 0 { netemProblem = "this machine has no netem: \(Self.line(probe.output) ?? "tc failed")" }
        try watch()
    }

    /// - Returns: what it printed.
    @discardableResult
    private func need(_ shell: any HostScripting, _ script: String) throws(Refusal) -> String {
        let answer = shell.run(script, limit: Self.patience)
        if answer.status != 0 {
            throw Refusal("\(plan.name): \(Self.line(answer.output) ?? "status \(answer.status)")")
        }
        return answer.output
    }

    private static func line(_ text: String) -> String? {
        guard var line = text.split(separator: "\n").first else { return nil }
        for prefix in ["/bin/sh: ", "Error: "] where line.hasPrefix(prefix) { line = line.dropFirst(prefix.count) }
        return String(line.hasSuffix(".") ? line.dropLast() : line)
    }

    // MARK: Its life

    /// In single quotation marks, for a shell.
    private static func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "'\\''") + "'" }

    /// Starts it, and waits until it listens.
    func start() throws(Refusal) {
        let port = String(plan.port, radix: 16, uppercase: true)
        let hex = String(repeating: "0", count: 4 - port.utf8.count) + port
        try need(inner, "setsid sh -c \(Self.quoted(plan.command)) >&3 2>&3 3>&- 8>&- 9>&- & program=$!")
        let answer = inner.run(
            """
            i=0; up=
            while [ $i -lt 80 ] && kill -0 $program 2>/dev/null; do
              if cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -q ':\(hex) [0-9A-F]*:0000 0A '; then
                up=1; break
              fi
              i=$((i+1)); sleep 0.1
            done
            [ -n "$up" ] || { echo 'it does not listen on port \(plan.port)'; false; }
            """, limit: Self.patience)
        if answer.status != 0 { throw Refusal("\(plan.name): \(Self.line(answer.output) ?? "it has ended")") }
    }

    /// Ends what there is of it and starts it again.
    func restart() throws(Refusal) {
        _ = inner.run("kill -s KILL -- -$program; wait $program", limit: Self.patience)
        try start()
    }

    func signal(_ name: String) throws(Refusal) {
        try need(inner, "kill -s \(name) -- -$program")
        // Its parent here is the shell, which has to ask for it.
        if name == "KILL" { _ = inner.run("wait $program", limit: Self.patience) }
    }

    func close() { inner.close() }

    // MARK: What is wrong with it

    /// Whether the kernel can do that to its network.
    func canEmulate(_ network: NetworkEmulation) -> Bool { netemProblem == nil || network.isRateOnly }

    /// - Returns: the command that was used.
    func set(_ network: NetworkEmulation) throws(Refusal) -> String {
        let command = network.command(hasNetem: netemProblem == nil)
        try need(inner, command)
        return command
    }

    func clearNetwork() { _ = inner.run(NetworkEmulation.removal, limit: Self.patience) }

    func run(_ command: String) throws(Refusal) -> String { try need(inner, command) }

    /// - Returns: the command, or nil if it has no disk of its own.
    func fillDisk() throws(Refusal) -> String? {
        guard let disk = plan.disk else { return nil }
        let free = try need(inner, "df -B1 --output=avail \(disk.path) | tail -n 1").filter(\.isNumber)
        let command = "fallocate -l \(free) \(Self.filler(disk))"
        if free != "0" { try need(inner, command) }
        return command
    }

    func emptyDisk() { if let disk = plan.disk { _ = inner.run("rm -f \(Self.filler(disk))", limit: Self.patience) } }

    private static func filler(_ disk: HostProgramPlan.Disk) -> String { "\(disk.path)/.sdlab-full" }

    // MARK: The lease

    /// Beside the runner: undoes what is to be undone when nobody has renewed the lease.
    private func watch() throws(Refusal) {
        try need(
            inner,
            """
            (while sleep 0.5; do
              if [ -s /proc/1/fd/8 ] && [ "$(date +%s)" -ge "$(cat /proc/1/fd/9)" ]; then
                sh /proc/1/fd/8; : > /proc/1/fd/8
              fi
            done) >/dev/null 2>&1 3>&- &
            """)
    }

    /// What has to be undone now, and until when somebody is sure to be there to do it.
    func lease(_ undo: [String], _ length: LabDuration) {
        let seconds = max(1, Int(length.seconds.rounded(.up)))
        let pid = undo.isEmpty ? "" : "echo program=$program; "
        let lines = undo.map { "echo \(Self.quoted($0)); " }.joined()
        _ = inner.run(
            "{ \(pid)\(lines):; } > /proc/1/fd/8; echo $(($(date +%s) + \(seconds))) > /proc/1/fd/9",
            limit: Self.patience)
    }

    func renew(_ length: LabDuration) {
        let seconds = max(1, Int(length.seconds.rounded(.up)))
        _ = inner.run("echo $(($(date +%s) + \(seconds))) > /proc/1/fd/9", limit: Self.patience)
    }

    /// For the watch: an end of a stop.
    static let continuation = "kill -s CONT -- -$program"
}
