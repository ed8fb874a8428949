// swift-tools-version: 6.2
import PackageDescription

// The architecture diagram: one row a room, with the rooms it uses. A row may only use rooms above it.
//
//   Kernel    what every engine stands on; knows no engine
//   Engines   the components, one folder each; they know the Kernel and, rarely, one another
//   Commands  what can be typed; one folder a room, one file a command
//   Shell     language, jobs and terminals, transcripts, prompt

struct Room {
    let name: String
    let path: String
    var excludes: [String] = []
    let uses: [String]
}

let rooms = [
    Room(name: "KernelStructures", path: "Engines/Kernel/Structures", uses: []),
    Room(name: "KernelStorage", path: "Engines/Kernel/Storage", uses: ["KernelStructures"]),
    Room(name: "KernelWire", path: "Engines/Kernel/Wire", uses: ["KernelStructures"]),
    Room(name: "KernelWorld", path: "Engines/Kernel/World", uses: ["KernelStructures", "KernelStorage"]),
    Room(
        name: "KernelLoopback", path: "Engines/Kernel/Loopback",
        uses: ["KernelStructures", "KernelStorage", "KernelWorld", "CSystem"]),
    Room(name: "KernelConfiguration", path: "Engines/Kernel/Configuration", uses: ["KernelStructures", "CYAML"]),
    Room(
        name: "KernelHosting", path: "Engines/Kernel/Hosting",
        uses: ["KernelStructures", "KernelWire", "KernelWorld"]),
    Room(
        name: "LoadBalancerEngine", path: "Engines/LoadBalancer",
        uses: ["KernelStructures", "KernelConfiguration", "KernelWire", "KernelWorld", "KernelHosting"]),
    Room(
        name: "KVStoreEngine", path: "Engines/KVStore",
        uses: ["KernelStructures", "KernelStorage", "CProcessor", "CSnappy"]),
    Room(
        name: "KVServerEngine", path: "Engines/KVServer",
        uses: ["KernelStructures", "KernelWire", "KernelWorld", "KernelHosting", "KVStoreEngine"]),
    Room(name: "ChaosEngine", path: "Engines/Chaos", uses: ["KernelStructures", "KernelWire", "KernelWorld"]),
    Room(name: "CommandKit", path: "Commands/Kit", uses: ["KernelStructures"]),
    Room(name: "ShellLanguage", path: "Shell/Language", uses: ["KernelStructures"]),
    Room(
        name: "ShellSession", path: "Shell/Session",
        uses: ["KernelStructures", "KernelStorage", "KernelWorld", "CommandKit", "ShellLanguage"]),
    Room(
        name: "Commands", path: "Commands", excludes: ["Kit"],
        uses: [
            "KernelStructures", "KernelConfiguration", "KernelWire", "KernelWorld", "KernelHosting",
            "LoadBalancerEngine",
            "KernelStorage", "KVStoreEngine", "KVServerEngine",
            "ChaosEngine", "CommandKit", "ShellLanguage", "ShellSession",
        ]),
    Room(
        name: "ShellLab", path: "Shell/Lab",
        uses: [
            "KernelStructures", "KernelStorage", "KernelWorld", "KernelLoopback", "ShellLanguage", "ShellSession",
            "Commands",
        ]),
    Room(
        name: "ShellTranscripts", path: "Shell/Transcripts",
        uses: [
            "KernelStructures", "KernelWorld", "KernelLoopback", "CommandKit", "Commands", "ShellLanguage",
            "ShellSession",
            "ShellLab",
        ]),
    Room(
        name: "ShellPrompt", path: "Shell/Prompt",
        uses: [
            "KernelStructures", "KernelWorld", "KernelLoopback", "ChaosEngine", "CommandKit", "ShellLanguage",
            "ShellSession",
            "ShellLab", "CEdit",
        ]),
]

/// One folder of tests for a group of rooms. `Program` drives the built program from outside.
let tests = [
    "Kernel": [
        "KernelStructures", "KernelStorage", "KernelWire", "KernelWorld", "KernelLoopback", "KernelConfiguration",
        "KernelHosting",
    ],
    "Components": [
        "KernelStructures", "KernelConfiguration", "KernelWire", "KernelWorld", "KernelHosting", "LoadBalancerEngine",
        "ChaosEngine",
        "ShellLanguage", "ShellSession", "ShellLab",
    ],
    "Shell": [
        "KernelStructures", "KernelStorage", "KernelWorld", "CommandKit", "ShellLanguage", "ShellSession", "Commands",
        "ShellLab",
    ],
    "Transcripts": ["KernelStructures", "KernelWorld", "ShellLab", "ShellTranscripts"],
    "Program": [
        "KernelStructures", "KernelWorld", "KernelLoopback", "ShellSession", "ShellLab", "ShellPrompt", "CSystem",
        "KernelStorage", "KVStoreEngine",
        "KernelWire",
    ],
    "KVServer": [
        "KernelStructures", "KernelStorage", "KernelWire", "KernelWorld", "KernelHosting", "KVStoreEngine",
        "KVServerEngine",
    ],
    "KVStore": ["KernelStructures", "KernelStorage", "KVStoreEngine"],
    "Tidy": ["Commands", "ShellLanguage", "ShellSession", "CommandKit"],
]

/// Rooms on the way of every request. Checking at run time that no two parts of the program change a variable at once
/// costs 3 % of a request there; the compiler's own checks remain, and `scripts/test --long` runs with all of them.
let hotRooms: Set = [
    "KernelStructures", "KernelWire", "KernelWorld", "KernelLoopback", "KernelHosting", "LoadBalancerEngine",
    "KernelStorage", "KVStoreEngine",
    "KVServerEngine",
]
/// Rooms whose tests look at what is inside. The program is built together with them.
let testableRooms: Set = ["KVStoreEngine"]
let checksExclusivity = Context.environment["SDLAB_EXCLUSIVITY"] == "checked"

let systemLibraries =
    ["CSystem", "CYAML", "CEdit"]
    + ["CProcessor", "CSnappy"]

/// SDLAB_TESTS=Kernel,Tidy builds only those folders of tests: a short way round while one room is being worked on.
let wantedTests = Context.environment["SDLAB_TESTS"]?.split(separator: ",").map(String.init)

/// The store's half of `scripts/bench kv`.
let benchTargets: [Target] =
    Context.environment["SDLAB_BENCH"] == nil
    ? []
    : [
        .executableTarget(
            name: "kv-engine-loop", dependencies: ["KernelStructures", "KernelStorage", "KVStoreEngine"],
            path: "scripts/bench.d/kv/EngineLoop")
    ]

let package = Package(
    name: "sdlab",
    targets: systemLibraries.map { .systemLibrary(name: $0, path: "Sources/\($0)") }
        + rooms.map { room in
            .target(
                name: room.name, dependencies: room.uses.map { .byName(name: $0) }, path: "Sources/\(room.path)",
                exclude: room.excludes,
                swiftSettings: (hotRooms.contains(room.name) && !checksExclusivity
                    ? [.unsafeFlags(["-enforce-exclusivity=unchecked"])] : [])
                    + (testableRooms.contains(room.name) ? [.unsafeFlags(["-enable-testing"])] : []))
        }
        + [
            // The Swift libraries go into the program: it starts in milliseconds, and runs where no Swift is.
            .executableTarget(
                name: "sdlab",
                dependencies: [
                    "KernelStructures", "KernelWorld", "KernelLoopback", "CommandKit", "Commands", "ShellLanguage",
                    "ShellSession", "ShellLab", "ShellTranscripts", "ShellPrompt",
                ],
                path: "Sources/Shell/Main", linkerSettings: [.unsafeFlags(["-static-stdlib"])])
        ]
        + [
            .target(
                name: "TestSupport",
                dependencies: ["KernelStructures", "KernelStorage", "KernelWire", "KernelWorld"], path: "Tests/Support")
        ]
        + tests.filter { wantedTests?.contains($0.key) ?? true }.sorted { $0.key < $1.key }.map { name, rooms in
            .testTarget(
                name: "\(name)Tests", dependencies: (rooms + ["TestSupport"]).map { .byName(name: $0) },
                path: "Tests/\(name)")
        }
        + benchTargets,
    swiftLanguageModes: [.v6]
)
