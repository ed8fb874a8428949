import ChaosEngine
import ChaosService
import CommandKit
import CommandServices
import KernelStructures
import ShellSession

extension ChaosCommands {
    /// `chaos-runner --config chaos-experiment.yaml`
    static var chaosRunner: Command {
        typealias Hypothesis = ChaosExperiment.HypothesisStrategy
        let description = CommandDescription(
            "chaos-runner", "carries out an experiment: checks, breaks, watches, and takes it back",
            usage: "--config FILE [FLAGS]",
            flags: [
                .init("config", "c", .file, "the experiment: YAML or JSON, the short form or the Chaos Toolkit's"),
                .init("host", nil, "allows programs of this machine, in namespaces of their own"),
                .init("dry", nil, "only says what would be done"),
                .init("journal", nil, .file, "where journal.json is written, in the Toolkit's shape"),
                .init(
                    "hypothesis-strategy", nil, .choice(Hypothesis.allCases.map(\.rawValue)),
                    "when the steady state is looked at"),
                .init("hypothesis-frequency", nil, .duration(), "between two rounds while the method runs (1s)"),
                .init("fail-fast", nil, "the first failure while the method runs ends it"),
                .init(
                    "rollback-strategy", nil, .choice(ChaosExperiment.RollbackStrategy.allCases.map(\.rawValue)),
                    "when rollbacks are carried out (default: whenever the method has begun)"),
                .init("var", nil, .text("NAME=VALUE"), repeatable: true, "a value of the configuration"),
                .init("lease", nil, .duration(), "faults end so long after the runner was last heard of (10s)"),
                CommonFlags.json,
            ],
            examples: [
                "chaos-runner --config chaos-experiment.yaml", "chaos-runner --config chaos-experiment.yaml --dry",
                "chaos-runner --config experiment.json --journal journal.json --fail-fast",
            ],
            group: .faults, role: .client, tags: ["CHAOS"],
            details: """
                It does not start from a steady state that is broken. Ctrl-C rolls back, a
                second one ends at once; either way, and if the runner is killed or frozen,
                every fault that it injected ends: a lease does that, which only a living
                runner renews.
                An experiment with programs: starts those of the machine, with --host only, and
                each in a network, mounts and processes of its own (unshare, ip, tc, cgroups,
                tmpfs). What this machine's kernel lacks, a proxy in user space does; the line
                that begins with Using says which.
                Status 0 if the hypothesis held, 1 if not. help chaos for the format.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let experiment = try ExperimentFile.read(invocation)
            var options = ExperimentRun.Options()
            options.hypothesisStrategy = arguments.text("hypothesis-strategy").flatMap { Hypothesis(rawValue: $0) }
            options.rollbackStrategy = arguments.text("rollback-strategy").flatMap {
                ChaosExperiment.RollbackStrategy(rawValue: $0)
            }
            options.frequency = arguments.duration("hypothesis-frequency")
            options.failsFast = arguments.has("fail-fast")
            options.isDry = arguments.has("dry")
            var settings = ExperimentProgram.Settings()
            settings.journalPath = arguments.text("journal")
            settings.lease = arguments.duration("lease") ?? settings.lease
            settings.wantsJSON = arguments.wantsJSON
            if !options.isDry { try allow(experiment, invocation) }
            return .running(ExperimentProgram(invocation.process, ExperimentRun(experiment, options), settings))
        }
    }
}

extension ChaosCommands {
    /// What an experiment does to the machine has to be wanted, and needs namespaces to do it in.
    private static func allow(_ experiment: ChaosExperiment, _ invocation: Invocation) throws {
        guard !experiment.programs.isEmpty else { return }
        let names = experiment.programs.map(\.name).joined(separator: ", ")
        guard invocation.arguments.has("host") else {
            throw CommandFailure("it starts programs of this machine (\(names)); add --host to allow that")
        }
        guard invocation.session.world.only(HostAccess.self, make: { HostAccess(nil) }).isOpen else {
            throw CommandFailure("programs of the machine need a process of its own: sdlab chaos-runner --host …")
        }
    }
}

/// Experiments as files of the lab.
enum ExperimentFile {
    /// The one that `--config` names, or the first word.
    static func read(_ invocation: Invocation) throws -> ChaosExperiment {
        let arguments = invocation.arguments
        let named = arguments.description.flag(named: "config") == nil ? nil : arguments.text("config")
        guard let file = named ?? arguments.arguments.first else {
            throw UsageError("\(arguments.description.name): which experiment? add --config chaos-experiment.yaml")
        }
        let variables = try arguments.texts("var").map { word -> (name: String, value: String) in
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, !parts[0].isEmpty else {
                throw UsageError("\(arguments.description.name): --var: '\(word)' is not NAME=VALUE")
            }
            return (parts[0], parts[1])
        }
        let bytes: [UInt8]
        do { bytes = try invocation.session.files.read(file) } catch { throw CommandFailure("\(error)") }
        do throws(ExperimentError) {
            let experiment = try ChaosExperiment(parsing: bytes, file: file, variables: variables) {
                invocation.session.variables[$0]
            }
            try check(experiment.method, "method", file)
            try check(experiment.rollbacks, "rollbacks", file)
            return experiment
        } catch {
            throw CommandFailure(error.description)
        }
    }

    /// Whether all faults can be understood: better now than when half of them are in force.
    private static func check(_ activities: [Activity], _ list: String, _ file: String) throws(ExperimentError) {
        for (index, activity) in activities.enumerated() {
            guard case .lab(let action) = activity.provider else { continue }
            var problem = FaultDesk.problem(with: action)
            if case .signal(let name, _, _, _) = action, name != "POWER", Signal(parsing: name) == nil {
                problem = "unknown signal '\(name)'; one of \(Signal.allCases.map(\.rawValue).joined(separator: ", "))"
            }
            if let problem { throw ExperimentError("\(file): \(list)[\(index)] (\(activity.name))", problem) }
        }
    }
}
