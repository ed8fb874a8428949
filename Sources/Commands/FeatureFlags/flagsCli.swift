import CommandKit
import CommandServices
import FeatureFlagsEngine
import FeatureFlagsService
import KernelStructures
import ShellSession

extension FeatureFlagsCommands {
    /// `flags-cli create new-checkout-flow --type boolean`
    static var flagsCli: Command {
        let description = CommandDescription(
            "flags-cli", "makes feature flags, changes them, and asks who sees what", operates: false,
            subcommands: changes + studies + surroundings, group: .clients,
            details: """
                A rule is made of comparisons, 'and', 'or', 'not' and parentheses:
                  user.country == "US" and not (user.beta or user.age < 18)
                  user.plan in ["pro", "team"]   user.email endsWith "@example.org"
                  user.version >= "2.1.0"        user.ip within "10.0.0.0/8"
                  user.name matches "^a.*z$"     now after "2024-01-01T00:00:00Z"
                What a change does is in the log of the server's own node; where that is not in
                sight, as a process of its own, the command prints it.
                """)
        return Command(description) { invocation in
            let arguments = invocation.arguments
            let call = try FlagCall(invocation)
            let server =
                arguments.endpoint("server") ?? HostPort(host: "localhost", port: FeatureFlagsHost.defaultPort)
            let process = invocation.process
            let isSaidByLog = call.isChange && !arguments.wantsJSON && process.seesLog(of: server)
            return .running(
                ServerQuestion(
                    process, call.method, call.target, at: server,
                    whenRefused: "no server of flags answers at \(server); start one: feature-flags",
                    fields: call.fields(arguments, process), body: call.body?.bytes(),
                    timeout: arguments.duration("timeout") ?? .seconds(10)
                ) { response throws(CommandFailure) in
                    try ServerQuestion.text(response, isSaidByLog: isSaidByLog)
                })
        }
    }

    private typealias Flag = CommandDescription.Flag
    private static let common: [Flag] = [
        .init("env", "e", .text("NAME"), "the environment (the server's first)"),
        .init("server", "s", .endpoint, "where the server is (localhost:\(FeatureFlagsHost.defaultPort))"),
        .init("token", nil, .text("KEY"), "an administrator's key, where the server asks for one"),
        .init("as", nil, .text("NAME"), "who does it, for the audit log (admin)"),
        .init("timeout", nil, .duration(), "how long to wait for an answer (10s)"), CommonFlags.json,
    ]
    private static let name = CommandDescription.Arguments([.text], 1...1)
    private static let percent = Flag("percent", nil, .integer(0...100), "how many of them")
    private static let rule = Flag("rule", nil, .text("RULE"), "who: user.country == \"US\"")
    private static let segment = Flag("segment", nil, .text("NAME"), "who: people of a segment (flags-cli segments)")
    private static let user = Flag("user", "u", .text("JSON"), "who: an id, or a context as JSON")
    private static let users = Flag("users", nil, .file, "who: a file with an id or a context a line")

    private static var changes: [Subcommand] {
        [
            .init(
                "create", "makes a flag, which is off everywhere", usage: "FLAG [--type boolean|variant] [--kind KIND]",
                flags: [
                    .init("type", nil, .choice(["boolean", "variant"]), "yes and no, or one of several (boolean)"),
                    .init("kind", nil, .choice(FlagKind.allCases.map(\.rawValue)), "what it is for (release)"),
                    .init("description", nil, .text("TEXT"), "a sentence about it"),
                ] + common, arguments: name, examples: ["flags-cli create new-checkout-flow --type boolean"]),
            .init(
                "rollout", "shows it to so many percent of all", usage: "FLAG --percent N",
                flags: [
                    percent,
                    .init("stickiness", nil, .text("FIELD"), "by what people stay in or out (default)"),
                ] + common, arguments: name, examples: ["flags-cli rollout new-checkout-flow --percent 10"],
                details: """
                    The first rollout switches a flag on. One that was switched off stays off, and a
                    larger percentage takes nobody out who was in.
                    """),
            .init(
                "target", "shows it to certain people", usage: "FLAG (--rule RULE | --segment NAME) [--percent N]",
                flags: [rule, segment, percent] + common, arguments: name,
                examples: [
                    #"flags-cli target new-checkout-flow --rule 'user.country == "US"' --percent 50"#,
                    "flags-cli target new-checkout-flow --segment staff",
                ],
                details: "With both, people of the segment whom the rule means."),
            .init(
                "untarget", "takes a rule away, or all of them", usage: "FLAG [--rule RULE | --segment NAME]",
                flags: [rule, segment] + common,
                arguments: name, examples: ["flags-cli untarget new-checkout-flow"]),
            .init(
                "variants", "says what it can show, and to which shares", usage: "FLAG NAME=WEIGHT[:PAYLOAD]…",
                flags: [
                    .init("stickiness", nil, .text("FIELD"), "by what people keep theirs (default)"),
                    .init("payload-type", nil, .choice(FlagPayload.types), "what payloads are (string)"),
                ] + common, arguments: .init([.text], 1...101),
                examples: ["flags-cli variants button-color red=50 blue=50"]),
            .init(
                "depends", "makes it depend on others", usage: "FLAG [PARENT | !PARENT]…", flags: common,
                arguments: .init([.text], 1...101), examples: ["flags-cli depends express-checkout new-checkout-flow"]),
            .init(
                "enable", "switches it on", usage: "FLAG", flags: common, arguments: name,
                examples: ["flags-cli enable new-checkout-flow"]),
            .init(
                "disable", "switches it off", usage: "FLAG", flags: common, arguments: name,
                examples: ["flags-cli disable new-checkout-flow"]),
            .init(
                "kill", "switches it off in every environment at once", usage: "FLAG", flags: common, arguments: name,
                examples: ["flags-cli kill new-checkout-flow"]),
            .init(
                "schedule", "rolls it out step by step", usage: "FLAG --steps 1,10,50,100 --every 1h",
                flags: [
                    .init("steps", nil, .text("LIST"), "percents, in their order"),
                    .init("every", nil, .duration(), "from one to the next"),
                    .init("start", nil, .text("TIME"), "when the first one is made (now)"),
                ] + common, arguments: name,
                examples: ["flags-cli schedule new-checkout-flow --steps 1,10,50,100 --every 1h"]),
            .init(
                "unschedule", "ends that", usage: "FLAG", flags: common, arguments: name,
                examples: ["flags-cli unschedule new-checkout-flow"]),
            .init(
                "archive", "takes a flag away from all clients", usage: "FLAG", flags: common, arguments: name,
                examples: ["flags-cli archive new-checkout-flow"]),
            .init(
                "revive", "brings an archived flag back, switched off", usage: "FLAG", flags: common, arguments: name,
                examples: ["flags-cli revive new-checkout-flow"]),
            .init(
                "mark", "says that a flag is stale, or is not", usage: "FLAG stale|used", flags: common,
                arguments: .init([.text, .word(["stale", "used"])], 2...2),
                examples: ["flags-cli mark new-checkout-flow stale"]),
        ]
    }

    private static var studies: [Subcommand] {
        [
            .init(
                "list", "the flags there are", usage: "[--archived]",
                flags: [.init("archived", nil, "those that are archived")] + common, examples: ["flags-cli list"]),
            .init(
                "show", "one flag: rollout, rules, variants, schedule", usage: "FLAG", flags: common, arguments: name,
                examples: ["flags-cli show new-checkout-flow"]),
            .init(
                "evaluate", "whether somebody sees it", usage: "FLAG --user JSON", flags: [user] + common,
                arguments: name,
                examples: [#"flags-cli evaluate new-checkout-flow --user '{"id":"123","country":"US"}'"#]),
            .init(
                "explain", "why: each strategy, constraint and hash", usage: "FLAG --user JSON",
                flags: [user] + common, arguments: name, examples: ["flags-cli explain new-checkout-flow --user 123"]),
            .init(
                "diff", "who would change: exactly, person by person",
                usage: "FLAG --percent N | --rule RULE | --segment NAME | --enable | --disable",
                flags: [
                    percent, rule, segment, .init("enable", nil, "if it were on"),
                    .init("disable", nil, "if it were off"),
                    users,
                    .init("count", nil, .integer(1...RolloutDifference.userLimit), "users 1 to N (1000)"),
                ] + common, arguments: name, examples: ["flags-cli diff new-checkout-flow --percent 25"]),
            .init(
                "stats", "how often it was evaluated", usage: "FLAG [--last 24h]",
                flags: [.init("last", "l", .duration(), "how far back, in whole hours (24h)")] + common,
                arguments: name, examples: ["flags-cli stats new-checkout-flow --last 24h"],
                details: """
                    A flag without variants has two sides all the same, as it has in an
                    experiment: control, who do not see it, and treatment, who do.
                    """),
            .init(
                "experiment", "which variant is winning", usage: "FLAG [--goal NAME]",
                flags: [.init("goal", nil, .text("NAME"), "what is hoped for (the first one recorded)")] + common,
                arguments: name, examples: ["flags-cli experiment button-color --goal purchase"]),
            .init(
                "track", "records that somebody came, or did what is hoped for", usage: "FLAG --user ID [--goal NAME]",
                flags: [user, users, .init("goal", nil, .text("NAME"), "what he did (only came)")] + common,
                arguments: name, examples: ["flags-cli track button-color --user 123 --goal purchase"]),
        ]
    }

    private static var surroundings: [Subcommand] {
        [
            .init(
                "audit", "who has changed what", usage: "[FLAG] [--limit N]",
                flags: [.init("limit", "n", .integer(1...FlagStore.auditLimit), "the last so many (50)")] + common,
                arguments: .init([.text], 0...1), examples: ["flags-cli audit new-checkout-flow"]),
            .init("stale", "flags that have outlived their use", flags: common, examples: ["flags-cli stale"]),
            .init(
                "environments", "where flags can be on", usage: "[--add NAME]",
                flags: [.init("add", nil, .text("NAME"), "makes one")] + common, examples: ["flags-cli environments"]),
            .init(
                "segments", "named groups of people", usage: "[--add NAME --rule RULE]",
                flags: [.init("add", nil, .text("NAME"), "makes one"), rule] + common,
                examples: [#"flags-cli segments --add staff --rule 'user.email endsWith "@example.org"'"#],
                details: "`flags-cli target FLAG --segment NAME` shows a flag to one."),
            .init(
                "token", "keys that open the server", usage: "create|list|remove [NAME] [--kind client|admin]",
                flags: [.init("kind", nil, .choice(FlagToken.Kind.allCases.map(\.rawValue)), "whose it is (client)")]
                    + common, arguments: .init([.word(["create", "list", "remove"]), .text], 1...2),
                examples: ["flags-cli token create ops --kind admin"]),
        ]
    }
}
