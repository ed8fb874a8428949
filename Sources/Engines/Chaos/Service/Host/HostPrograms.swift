import ChaosEngine
import KernelStructures
import KernelWorld

/// The programs of the machine that an experiment has started, and what is wrong with them because of it.
///
/// ## The problem
///
/// What kills a program in production is the kernel's doing: packets that are late, memory that is full, a disk without
/// room. The tools that do this (tc, control groups, mounts) do it to the whole machine when one word is wrong.
///
/// ## How
///
/// Nothing of it is done outside namespaces that were made for the experiment. The runner is in a network of its own
/// (`HostNamespaces`), each program in one more, joined to it by a pair of virtual interfaces; its processes, mounts
/// and control group are its own, too. For each there is a node of its name in the lab, with a proxy on the program's
/// port: by it everybody reaches the program, and it does in user space what this machine's kernel cannot.
///
/// ```
/// probes ──▶ node web :8080 ──▶ sdlab1 ═══ eth0 ──▶ program :8080
///            (the proxy)        10.77.1.1   10.77.1.2   (tc, cgroup, tmpfs, signals)
/// ```
public final class HostPrograms {
    typealias Refusal = HostAccess.Refusal

    /// Who can do what was asked for.
    enum Deed {
        case done([String])
        /// None of these programs is meant, or the lab can do it, and the machine cannot: for that reason.
        case labs(because: String?)
    }

    private enum Way { case kernel, proxy, group, disk, stop }

    private struct Fault {
        let number: Int
        let program: Int
        /// The first word of `inject`, or `STOP`.
        let name: String
        let kind: FaultKind?
        let way: Way
    }

    private let world: World
    private let outer: any HostScripting
    private var programs: [HostProgram] = []
    private var proxies: [ToxicProxy] = []
    private var faults: [Fault] = []
    private var lastNumber = 0
    private var lease = LabDuration.seconds(10)
    private var isClosed = false

    /// Makes the namespaces and starts the programs; whoever waits for it waits until all of them listen.
    ///
    /// - Throws: `HostAccess.Refusal` if the machine does not allow it, or a program does not come up.
    public init(_ plans: [HostProgramPlan], _ world: World, _ access: HostAccess) throws(HostAccess.Refusal) {
        guard let makeShell = access.makeShell else { throw Refusal("this process may not touch the machine") }
        self.world = world
        let prefix = "sdlab-chaos-\(world.now.nanoseconds / 1000)"
        // What it runs behind its shell outlives this process: control groups are not gone by themselves.
        outer = try makeShell(["sh", "-c", "/bin/sh; \(ControlGroup.removal(prefix))"])
        do throws(Refusal) {
            try checkIsAlone()
            try nameThem(plans)
            for (index, plan) in plans.enumerated() {
                let program = try HostProgram(
                    plan, number: index + 1, prefix: prefix, outer: outer, access: access)
                programs.append(program)
                try program.start()
                try stand(program)
            }
        } catch {
            close()
            throw error
        }
    }

    /// This network must be one of our own, or nothing is touched.
    private func checkIsAlone() throws(Refusal) {
        let answer = outer.run("ip -o link | grep -v '^[0-9]*: lo:'; true", limit: .seconds(5))
        let links = answer.output.split(separator: "\n")
        if !links.isEmpty { throw Refusal("this network is not the runner's own: it has \(links[0].prefix(60))") }
    }

    /// Their names lead to the proxies, for all who ask in these mounts.
    private func nameThem(_ plans: [HostProgramPlan]) throws(Refusal) {
        let names = plans.map(\.name).joined(separator: " ")
        let answer = outer.run(
            "f=$(mktemp) && { cat /etc/hosts; echo '127.0.0.1 \(names)'; } > $f && mount --bind $f /etc/hosts && rm $f",
            limit: .seconds(5))
        if answer.status != 0 { throw Refusal("/etc/hosts: \(answer.output)") }
    }

    /// The node that stands for a program.
    private func stand(_ program: HostProgram) throws(Refusal) {
        let plan = program.plan
        do {
            let node = try world.nodes.start(plan.name)
            let proxy = ToxicProxy(
                node, name: plan.name, listen: "localhost:\(plan.port)", upstream: "\(program.address):\(plan.port)")
            try proxy.start()
            proxies.append(proxy)
        } catch {
            throw Refusal("\(plan.name): \(error)")
        }
    }

    /// What this machine can do and what not, a line each.
    public var notes: [String] {
        programs.map { program in
            let group = program.group.map { "control group \($0.version.rawValue)" } ?? program.groupProblem
            return "\(program.plan.name) runs in namespaces of its own; \(group); "
                + (program.netemProblem.map { "\($0), so a proxy in user space stands in" } ?? "netem")
        }
    }

    var names: [String] { programs.map(\.plan.name) }
    var openCount: Int { faults.count }

    /// Ends the programs, and with them everything that was made for them.
    public func close() {
        guard !isClosed else { return }
        isClosed = true
        faults = []
        for proxy in proxies { proxy.stop() }
        for program in programs { program.close() }
        outer.close()
    }

    // MARK: Doing

    func perform(_ action: LabAction, _ random: inout SeededRandom) throws(FaultDesk.Failure) -> Deed {
        do throws(Refusal) {
            switch action {
            case .inject(let words, let target, let lasts, let radius):
                return try inject(words, chosen(target, radius, &random), lasts)
            case .signal(let name, let target, let lasts, let radius):
                let hit = chosen(target, radius, &random)
                if hit.isEmpty { return .labs(because: nil) }
                for program in hit { try signal(name, program, lasts) }
                let names = hit.map { programs[$0].plan.name }.joined(separator: ", ")
                return .done(["Using: kill -s \(Self.plain(name)) for \(names)"])
            case .restart(let target):
                let hit = chosen(target, BlastRadius(), &random)
                if hit.isEmpty { return .labs(because: nil) }
                for program in hit { try programs[program].restart() }
                return .done([])
            case .skew(_, let target):
                if chosen(target, BlastRadius(), &random).isEmpty { return .labs(because: nil) }
                throw Refusal("the machine's clock is everybody's: clocks are skewed for nodes of the lab only")
            case .restore: return .labs(because: nil)
            }
        } catch {
            throw FaultDesk.Failure(description: error.description)
        }
    }

    private func chosen(_ target: String, _ radius: BlastRadius, _ random: inout SeededRandom) -> [Int] {
        let fitting = radius.choose(among: BlastRadius.matches(target, among: names), &random)
        return programs.indices.filter { fitting.contains(programs[$0].plan.name) }
    }

    private func inject(_ words: [String], _ hit: [Int], _ lasts: LabDuration?) throws(Refusal) -> Deed {
        guard !hit.isEmpty, let word = words.first else { return .labs(because: nil) }
        if ["disk-slow", "fail-sync", "torn-write"].contains(word) {
            throw Refusal("\(word) is for nodes of the lab: of a program's disk only its room can be taken")
        }
        var notes: [String] = []
        for program in hit {
            let request: FaultRequest
            do throws(FaultGrammarError) {
                request = try FaultRequest(words + ["on", programs[program].plan.name])
            } catch {
                throw Refusal(error.description)
            }
            guard let used = try begin(word, request.kind, program, lasts) else {
                return .labs(because: reason(word, program))
            }
            notes.append("Using: \(used)")
        }
        return .done(notes)
    }

    private func reason(_ word: String, _ program: Int) -> String? {
        switch word {
        case "cpu", "memory": programs[program].groupProblem
        case "loss", "corrupt", "duplicate", "reorder": programs[program].netemProblem
        default: nil
        }
    }

    /// - Returns: what was used; nil if it is the lab's affair.
    private func begin(_ word: String, _ kind: FaultKind, _ index: Int, _ lasts: LabDuration?) throws(Refusal)
        -> String?
    {
        let program = programs[index]
        switch word {
        case "disk-full":
            guard let command = try program.fillDisk() else {
                throw Refusal("\(program.plan.name) has no disk of its own; give it disk: {path: /mnt, size: 16MB}")
            }
            add(index, word, nil, .disk, lasts)
            return command
        case "cpu", "memory":
            guard let group = program.group else { return nil }
            if case .protocolFailure(let fault) = kind, let trouble = fault as? NodeTrouble,
                case .cpu(let share) = trouble.kind
            {
                let command = group.processorTaken(share)
                _ = try program.run(command)
                add(index, word, nil, .group, lasts)
                return "cgroup \(group.version.rawValue), \(command)"
            }
            let used = try program.run(group.memoryFull).filter(\.isNumber)
            add(index, word, nil, .group, lasts)
            return "cgroup \(group.version.rawValue), a memory limit of \(used) bytes, which is what it has now"
        default:
            guard NetworkEmulation.canExpress(kind) else { return nil }
            return try emulate(word, kind, index, lasts)
        }
    }

    private func emulate(_ word: String, _ kind: FaultKind, _ index: Int, _ lasts: LabDuration?) throws(Refusal)
        -> String?
    {
        let program = programs[index]
        let network = NetworkEmulation(kernelKinds(index) + [kind])
        if program.canEmulate(network) {
            let command = try program.set(network)
            add(index, word, kind, .kernel, lasts)
            return command
        }
        guard let toxic = Self.toxic(kind, lastNumber + 1) else { return nil }
        do { try proxies[index].add(toxic) } catch { throw Refusal("\(error)") }
        add(index, word, kind, .proxy, lasts)
        return "a proxy in user space, toxic \(toxic.kind.rawValue) (\(program.netemProblem ?? ""))"
    }

    private func kernelKinds(_ program: Int) -> [FaultKind] {
        faults.filter { $0.program == program && $0.way == .kernel }.compactMap(\.kind)
    }

    /// What Toxiproxy has for it.
    private static func toxic(_ kind: FaultKind, _ number: Int) -> Toxic? {
        switch kind {
        case .latency(let delay, let jitter):
            Toxic(
                .latency, name: "fault-\(number)",
                ["latency": Int(delay.milliseconds.rounded()), "jitter": Int(jitter.milliseconds.rounded())])
        case .throttle(let rate): Toxic(.bandwidth, name: "fault-\(number)", ["rate": max(1, rate / 1000)])
        default: nil
        }
    }

    private static func plain(_ name: String) -> String {
        let short = name.hasPrefix("SIG") ? String(name.dropFirst(3)) : name
        return short == "POWER" ? "KILL" : short
    }

    private func signal(_ name: String, _ index: Int, _ lasts: LabDuration?) throws(Refusal) {
        let name = Self.plain(name)
        let program = programs[index]
        switch name {
        case "STOP":
            try program.signal(name)
            add(index, name, nil, .stop, lasts)
        case "CONT":
            try program.signal(name)
            faults.removeAll { $0.program == index && $0.way == .stop }
            tell(index)
        default:
            try program.signal(name)
            guard let lasts else { return }
            world.after(lasts) { [weak self] in
                guard let self, !isClosed else { return }
                try? program.restart()
            }
        }
    }

    // MARK: Taking back

    private func add(_ program: Int, _ name: String, _ kind: FaultKind?, _ way: Way, _ lasts: LabDuration?) {
        lastNumber += 1
        let number = lastNumber
        faults.append(Fault(number: number, program: program, name: name, kind: kind, way: way))
        tell(program)
        guard let lasts else { return }
        world.after(lasts) { [weak self] in self?.remove { $0.number == number } }
    }

    /// Those kinds, or all; of those programs, or of all.
    func restore(_ kinds: [String]?, _ fitting: [String]?) {
        remove { fault in
            (kinds?.contains(fault.name) ?? true)
                && (fitting?.contains(programs[fault.program].plan.name) ?? true)
        }
    }

    @discardableResult
    func revertAll() -> Int {
        let count = faults.count
        remove { _ in true }
        return count
    }

    private func remove(_ isWanted: (Fault) -> Bool) {
        let going = faults.filter(isWanted)
        guard !going.isEmpty, !isClosed else { return }
        faults.removeAll { fault in going.contains { $0.number == fault.number } }
        for fault in going { end(fault) }
        for program in Set(going.map(\.program)).sorted() { tell(program) }
    }

    private func end(_ fault: Fault) {
        let program = programs[fault.program]
        switch fault.way {
        case .kernel:
            let left = NetworkEmulation(kernelKinds(fault.program))
            if (try? program.set(left)) == nil { program.clearNetwork() }
        case .proxy: _ = proxies[fault.program].remove("fault-\(fault.number)")
        case .group:
            guard let group = program.group else { return }
            let others = faults.contains { $0.program == fault.program && $0.name == fault.name }
            if !others { _ = try? program.run(fault.name == "cpu" ? group.processorFree : group.memoryFree) }
        case .disk: program.emptyDisk()
        case .stop: try? program.signal("CONT")
        }
    }

    // MARK: The lease

    /// Somebody is there for so long at least.
    func renew(_ length: LabDuration) {
        lease = length
        for program in programs where !isClosed { program.renew(length) }
    }

    /// What the watch of a program has to undo if nobody is.
    private func tell(_ index: Int) {
        let program = programs[index]
        var undo: [String] = []
        for fault in faults where fault.program == index {
            switch fault.way {
            case .kernel: undo.append(NetworkEmulation.removal)
            case .proxy: break
            case .group:
                if let group = program.group { undo += [group.processorFree, group.memoryFree] }
            case .disk: if let disk = program.plan.disk { undo.append("rm -f \(disk.path)/.sdlab-full") }
            case .stop: undo.append(HostProgram.continuation)
            }
        }
        program.lease(undo, lease)
    }
}
