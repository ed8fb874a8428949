import ChaosEngine
import KernelStructures
import KernelWorld
import TestSupport
import Testing

@testable import ChaosService

@Suite("Programs of the machine")
struct HostProgramTests {
    /// A shell that only writes down what it is told, and answers as a machine with these abilities would.
    private final class Machine {
        var hasNetem = true
        var hasGroups = true
        private(set) var scripts: [String] = []
        private(set) var opened: [[String]] = []
        private(set) var closedCount = 0

        final class Shell: HostScripting {
            let machine: Machine
            let processNumber = 4711
            init(_ machine: Machine) { self.machine = machine }
            func run(_ script: String, limit: LabDuration) -> (status: Int, output: String) { machine.answer(script) }
            func close() { machine.closedCount += 1 }
        }

        func answer(_ script: String) -> (status: Int, output: String) {
            scripts.append(script)
            if script.contains("children") { return (0, "4712 \n") }
            if script.contains("netem"), !hasNetem { return (2, "Error: Specified qdisc kind is unknown.\n") }
            if script.contains("mkdir /sys/fs/cgroup") { return hasGroups ? (0, "v1\n") : (1, "mkdir: no\n") }
            if script.contains("df -B1") { return (0, "16777216\n") }
            if script.contains("usage_in_bytes") { return (0, "5000000\n") }
            return (0, "")
        }

        var access: HostAccess {
            HostAccess { words throws(HostAccess.Refusal) in
                self.opened.append(words)
                return Shell(self)
            }
        }

        func since(_ count: Int) -> [String] { Array(scripts[count...]) }
    }

    private static let text = """
        experiment:
          name: t
          programs:
            - {name: web, command: python3 -m http.server 8080, port: 8080, memory: 64MB,
               disk: {path: /mnt, size: 16MB}}
            - {name: db, command: sleep 1, port: 5432}
          method: []
          steady_state:
            - {probe: http, url: "http://web:8080/", expect: status == 200}
        """

    private struct Setting {
        let world = World(WorldConfiguration(transport: MemoryTransport()))
        let machine: Machine
        let programs: HostPrograms
        let desk: FaultDesk

        init(_ machine: Machine = Machine()) throws {
            self.machine = machine
            programs = try HostPrograms(try experiment(HostProgramTests.text).programs, world, machine.access)
            desk = FaultDesk(world, lease: .seconds(10))
            desk.host = programs
        }

        /// The commands among the scripts that a step has led to.
        func commands(_ step: () throws -> Void) rethrows -> [String] {
            let count = machine.scripts.count
            try step()
            return machine.since(count).filter { !$0.contains("/proc/1/fd") }
        }
    }

    private func inject(_ words: String, _ target: String = "web", for time: LabDuration? = nil) -> LabAction {
        .inject(
            words: words.split(separator: " ").map(String.init), target: target, lasts: time, radius: BlastRadius())
    }

    // @covers CHAOS-C2
    @Test("each program has namespaces of its own, and nothing is touched outside of them")
    func namespaces() throws {
        let setting = try Setting()
        #expect(setting.machine.opened.count == 3)
        for words in setting.machine.opened.dropFirst() {
            #expect(words.starts(with: ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]))
        }
        #expect(setting.machine.scripts.first?.contains("ip -o link") ?? false)
        #expect(setting.world.nodes["web"]?.isAlive ?? false)
        setting.programs.close()
        setting.programs.close()
        #expect(setting.machine.closedCount == 3)
        // In a network that is somebody's it does not begin.
        final class Foreign: HostScripting {
            let processNumber = 1
            func run(_ script: String, limit: LabDuration) -> (status: Int, output: String) { (0, "2: eth0: <UP>\n") }
            func close() {}
        }
        let access = HostAccess { _ throws(HostAccess.Refusal) in Foreign() }
        #expect(throws: HostAccess.Refusal.self) {
            _ = try HostPrograms(try experiment(Self.text).programs, setting.world, access)
        }
        #expect(throws: HostAccess.Refusal.self) {
            _ = try HostPrograms(try experiment(Self.text).programs, setting.world, HostAccess(nil))
        }
    }

    // @covers CHAOS-H1
    @Test("tc is told what is wrong with the network, all of it in one line, and the rest when a part ends")
    func network() throws {
        let setting = try Setting()
        var notes: [String] = []
        notes += try setting.desk.perform(inject("latency 2000ms"))
        #expect(notes == ["Using: tc qdisc replace dev eth0 root netem delay 2000ms"])
        notes = try setting.desk.perform(inject("loss 10%", for: .seconds(5)))
        #expect(notes == ["Using: tc qdisc replace dev eth0 root netem delay 2000ms loss 10%"])
        #expect(setting.desk.openCount == 2)
        let ended = setting.commands { setting.world.advance(by: .seconds(6)) }
        #expect(ended == ["tc qdisc replace dev eth0 root netem delay 2000ms"])
        let restored = try setting.commands { _ = try setting.desk.perform(.restore(kind: "network", target: "web")) }
        #expect(restored == ["tc qdisc del dev eth0 root"])
        #expect(setting.desk.openCount == 0)
    }

    @Test("a kernel without netem: the proxy delays, and the line says so; rates are the token bucket's all the same")
    func fallback() throws {
        let machine = Machine()
        machine.hasNetem = false
        machine.hasGroups = false
        let setting = try Setting(machine)
        #expect(setting.programs.notes[0].contains("netem: Specified qdisc kind is unknown"))
        #expect(
            try setting.desk.perform(inject("latency 200ms")) == [
                "Using: a proxy in user space, toxic latency (this machine has no netem: "
                    + "Specified qdisc kind is unknown)"
            ])
        #expect(
            try setting.desk.perform(inject("throttle 64KB/s"))[0].hasPrefix(
                "Using: tc qdisc replace dev eth0 root tbf"))
        let cpu = try setting.desk.perform(inject("cpu 80%"))
        #expect(cpu[0].contains("fault 1 of the lab's nodes") && cpu[1].hasPrefix("In user space: no control groups"))
        #expect(setting.desk.revertAll() == 3)
        #expect(setting.world.faults.rules.isEmpty && setting.desk.openCount == 0)
    }

    // @covers CHAOS-H3 CHAOS-H4
    @Test("a full disk, a full memory, a busy processor, and their ends")
    func resources() throws {
        let setting = try Setting()
        let disk = try setting.desk.perform(inject("disk-full"))
        #expect(disk == ["Using: fallocate -l 16777216 /mnt/.sdlab-full"])
        let cpu = try setting.desk.perform(inject("cpu 80%"))
        #expect(cpu[0].hasSuffix("echo 20000 > /sys/fs/cgroup/cpu/\(group(setting, 1))/cpu.cfs_quota_us"))
        let memory = try setting.desk.perform(inject("memory"))
        #expect(memory[0].contains("a memory limit of 5000000 bytes"))
        let ended = setting.commands { setting.desk.revertAll() }
        #expect(ended.contains("rm -f /mnt/.sdlab-full"))
        #expect(ended.contains("echo -1 > /sys/fs/cgroup/cpu/\(group(setting, 1))/cpu.cfs_quota_us"))
        #expect(ended.contains { $0.hasPrefix("echo \(64 << 20) > /sys/fs/cgroup/memory/") })
        // A program without a disk, and what a kernel cannot do to a disk.
        #expect(throws: FaultDesk.Failure.self) { try setting.desk.perform(inject("disk-full", "db")) }
        #expect(throws: FaultDesk.Failure.self) { try setting.desk.perform(inject("disk-slow 1s")) }
        #expect(throws: FaultDesk.Failure.self) { try setting.desk.perform(.skew(.seconds(1), target: "web")) }
    }

    private func group(_ setting: Setting, _ number: Int) -> String {
        "sdlab-chaos-\(LabTime.documentedEpoch.nanoseconds / 1000)-\(number)"
    }

    // @covers CHAOS-H2 CHAOS-M2
    @Test("signals go to those whose names fit; who was killed for a time is started again")
    func signals() throws {
        let setting = try Setting()
        let kills = try setting.commands {
            _ = try setting.desk.perform(.signal("KILL", target: "w*", lasts: .seconds(5), radius: BlastRadius()))
        }
        #expect(kills == ["kill -s KILL -- -$program", "wait $program"])
        let again = setting.commands { setting.world.advance(by: .seconds(6)) }
        #expect(again.contains { $0.contains("setsid sh -c 'python3 -m http.server 8080'") })
        _ = try setting.desk.perform(.signal("SIGSTOP", target: "db", lasts: nil, radius: BlastRadius()))
        #expect(setting.desk.openCount == 1)
        #expect(setting.commands { setting.desk.revertAll() } == ["kill -s CONT -- -$program"])
    }

    // @covers CHAOS-H5
    @Test("a watch beside the runner knows what is to be undone, and until when the runner lives")
    func lease() throws {
        let setting = try Setting()
        let count = setting.machine.scripts.count
        _ = try setting.desk.perform(inject("latency 1s"))
        #expect(
            setting.machine.since(count).contains {
                $0.contains("echo 'tc qdisc del dev eth0 root'") && $0.contains("+ 10")
            })
        let later = setting.machine.scripts.count
        setting.desk.renew()
        #expect(setting.machine.since(later).allSatisfy { $0.contains("> /proc/1/fd/9") })
        // Nobody renews: the desk's own lease ends it as well.
        let last = setting.machine.scripts.count
        setting.world.advance(by: .seconds(11))
        #expect(setting.machine.since(last).contains("tc qdisc del dev eth0 root"))
        #expect(setting.desk.openCount == 0)
    }

    @Test("several faults are one line for tc")
    func emulation() {
        func command(_ kinds: [FaultKind], _ hasNetem: Bool = true) -> String {
            NetworkEmulation(kinds).command(hasNetem: hasNetem)
        }
        let root = "tc qdisc replace dev eth0 root "
        #expect(command([]) == "tc qdisc del dev eth0 root")
        #expect(
            command([
                .latency(.milliseconds(200), jitter: .milliseconds(50)), .latency(.microseconds(500), jitter: .zero),
            ])
                == root + "netem delay 200500us 50ms")
        #expect(command([.loss(0.5), .loss(0.5), .corrupt(0.01)]) == root + "netem loss 75% corrupt 1%")
        #expect(command([.reorder(0.1), .duplicate(0.02)]) == root + "netem delay 10ms duplicate 2% reorder 10%")
        #expect(command([.throttle(bytesPerSecond: 65_536)]) == root + "netem rate 524288bit")
        #expect(
            command([.throttle(bytesPerSecond: 65_536), .throttle(bytesPerSecond: 1 << 20)], false)
                == root + "tbf rate 524288bit burst 16384 latency 400ms")
        #expect(command([.throttle(bytesPerSecond: .max)]).contains("rate \(Int.max)bit"))
    }

    @Test(
        "what is wrong with a program is said with its place",
        arguments: [
            ("{name: Web, command: x, port: 1}", "programs[0].name"), ("{name: a, command: '', port: 1}", "command"),
            ("{name: a, command: x, port: 0}", "port"), ("{name: a, command: x, port: 1, memory: 1KB}", "memory"),
            ("{name: a, command: x, port: 1, disk: {path: relative, size: 1MB}}", "disk.path"),
            ("{name: a, command: x, port: 1, disk: {path: '/mnt; rm', size: 1MB}}", "disk.path"),
            ("{name: a, command: x, port: 1, disk: {path: /mnt, size: 1TB}}", "disk.size"),
            ("{name: a, command: x, port: 1, colour: red}", "programs[0]"),
        ])
    func mistakes(_ program: String, _ place: String) {
        let text = "experiment: {name: t, method: [{probe: http, url: 'http://a/'}], programs: [\(program)]}"
        do {
            _ = try experiment(text)
            Issue.record("\(program) was taken")
        } catch {
            #expect("\(error)".contains(place), "\(error)")
        }
    }
}
