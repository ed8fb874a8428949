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
    /// On the way of every request. Checking at run time that no two parts of the program change a variable at once
    /// costs 3 % of a request there; the compiler's own checks remain, and `scripts/test --long` runs with all of them.
    var isHot = false
    /// Its tests look at what is inside (`@testable`); the program is built together with them.
    var isTestable = false
    /// The product's name, where another Swift package can import the room.
    var library: String? = nil
    let uses: [String]
}

let kernel = [
    Room(name: "KernelStructures", path: "Engines/Kernel/Structures", isHot: true, uses: []),
    Room(
        name: "KernelTelemetry", path: "Engines/Kernel/Telemetry", library: "Metrics", uses: ["KernelStructures"]),
    Room(name: "KernelJSON", path: "Engines/Kernel/JSON", isHot: true, uses: ["KernelStructures", "CRapidJSON"]),
    Room(name: "KernelStorage", path: "Engines/Kernel/Storage", isHot: true, uses: ["KernelStructures"]),
    Room(name: "KernelWire", path: "Engines/Kernel/Wire", isHot: true, uses: ["KernelStructures"]),
    Room(
        name: "KernelWorld", path: "Engines/Kernel/World", isHot: true,
        uses: ["KernelStructures", "KernelTelemetry", "KernelStorage"]),
    Room(
        name: "KernelLoopback", path: "Engines/Kernel/Loopback", isHot: true,
        uses: ["KernelStructures", "KernelStorage", "KernelWorld", "CSystem"]),
    Room(
        name: "KernelTLS", path: "Engines/Kernel/TLS",
        uses: ["KernelStructures", "KernelStorage", "KernelWorld", "COpenSSL"]),
    Room(name: "KernelConfiguration", path: "Engines/Kernel/Configuration", uses: ["KernelStructures", "CYAML"]),
    Room(
        name: "KernelHosting", path: "Engines/Kernel/Hosting", isHot: true,
        uses: ["KernelStructures", "KernelWire", "KernelWorld"]),
    Room(
        name: "KernelService", path: "Engines/Kernel/Service",
        uses: ["KernelStructures", "KernelJSON", "KernelTelemetry", "KernelWire", "KernelWorld", "KernelHosting"]),
]

/// In the order of the documented list of components; what a room embeds stands above it.
let engines = [
    Room(
        name: "HashRingEngine", path: "Engines/HashRing", isHot: true, library: "HashRing",
        uses: ["KernelStructures", "KernelWire", "KernelWorld", "KernelHosting", "CCrypto"]),
    Room(
        name: "LoadBalancerEngine", path: "Engines/LoadBalancer", isHot: true,
        uses: [
            "KernelStructures", "KernelConfiguration", "KernelWire", "KernelWorld", "KernelHosting", "HashRingEngine",
        ]),
    Room(
        name: "RateLimiterEngine", path: "Engines/RateLimiter", isHot: true, library: "RateLimiter",
        uses: ["KernelStructures", "KernelConfiguration", "KernelWire", "KernelWorld", "KernelHosting"]),
    Room(
        name: "KVStoreEngine", path: "Engines/KVStore", isHot: true, isTestable: true,
        uses: ["KernelStructures", "KernelStorage", "CProcessor", "CSnappy"]),
    Room(
        name: "KVServerEngine", path: "Engines/KVServer", isHot: true,
        uses: ["KernelStructures", "KernelWire", "KernelWorld", "KernelHosting", "KVStoreEngine"]),
    Room(
        name: "CircuitBreakerEngine", path: "Engines/CircuitBreaker", isHot: true, library: "CircuitBreaker",
        uses: ["KernelStructures", "KernelWorld"]),
    Room(
        name: "ResilienceEngine", path: "Engines/Resilience", library: "Resilience",
        uses: ["KernelStructures", "CircuitBreakerEngine"]),
    Room(
        name: "ConnectionPoolEngine", path: "Engines/ConnectionPool", isHot: true, library: "ConnectionPool",
        uses: ["KernelStructures", "KernelWire", "KernelWorld", "KernelHosting"]),
    Room(name: "ChaosEngine", path: "Engines/Chaos", uses: ["KernelStructures", "KernelWire", "KernelWorld"]),
]

let shell = [
    Room(name: "CommandKit", path: "Commands/Kit", uses: ["KernelStructures", "KernelJSON"]),
    Room(name: "ShellLanguage", path: "Shell/Language", uses: ["KernelStructures"]),
    Room(
        name: "ShellSession", path: "Shell/Session",
        uses: ["KernelStructures", "KernelStorage", "KernelWorld", "CommandKit", "ShellLanguage"]),
    Room(
        name: "Commands", path: "Commands", excludes: ["Kit"],
        uses: [
            "KernelStructures", "KernelJSON", "KernelStorage", "KernelConfiguration", "KernelWire", "KernelWorld",
            "KernelHosting", "CommandKit", "ShellLanguage", "ShellSession",
        ] + engines.map(\.name)),
    Room(
        name: "ShellLab", path: "Shell/Lab",
        uses: [
            "KernelStructures", "KernelStorage", "KernelWorld", "KernelLoopback", "ShellLanguage", "ShellSession",
            "Commands",
        ]),
    Room(
        name: "ShellTranscripts", path: "Shell/Transcripts",
        uses: [
            "KernelStructures", "KernelJSON", "KernelWorld", "KernelLoopback", "CommandKit", "Commands",
            "ShellLanguage", "ShellSession", "ShellLab",
        ]),
    Room(
        name: "ShellPrompt", path: "Shell/Prompt",
        uses: [
            "KernelStructures", "KernelWorld", "KernelLoopback", "ChaosEngine", "CommandKit", "ShellLanguage",
            "ShellSession", "ShellLab", "CEdit",
        ]),
]

let rooms = kernel + engines + shell
let systemLibraries = ["CSystem", "CYAML", "CEdit", "CCrypto", "COpenSSL", "CProcessor", "CSnappy"]
/// C++ libraries behind a plain C interface.
let shims = ["CRapidJSON"]

/// One folder of tests for a group of rooms. `Program` drives the built program from outside.
let tests = [
    "Kernel": kernel.map(\.name),
    "Components": [
        "KernelStructures", "KernelConfiguration", "KernelWire", "KernelWorld", "KernelHosting", "LoadBalancerEngine",
        "ChaosEngine", "ShellLanguage", "ShellSession", "ShellLab",
    ],
    "TLS": ["KernelStructures", "KernelStorage", "KernelWire", "KernelWorld", "KernelTLS", "KernelHosting"],
    "RateLimiter": [
        "KernelStructures", "KernelConfiguration", "KernelWire", "KernelWorld", "KernelHosting", "RateLimiterEngine",
    ],
    "KVStore": ["KernelStructures", "KernelStorage", "KVStoreEngine"],
    "KVServer": [
        "KernelStructures", "KernelStorage", "KernelWire", "KernelWorld", "KernelHosting", "KVStoreEngine",
        "KVServerEngine",
    ],
    "CircuitBreaker": [
        "KernelStructures", "KernelWorld", "KernelLoopback", "CircuitBreakerEngine", "ResilienceEngine", "ShellLab",
    ],
    "HashRing": [
        "KernelStructures", "KernelWire", "KernelWorld", "KernelHosting", "HashRingEngine", "CommandKit", "Commands",
        "ShellLanguage", "ShellSession", "ShellLab",
    ],
    "ConnectionPool": [
        "KernelStructures", "KernelWire", "KernelWorld", "KernelHosting", "ConnectionPoolEngine",
    ],
    "Shell": [
        "KernelStructures", "KernelStorage", "KernelWorld", "CommandKit", "ShellLanguage", "ShellSession", "Commands",
        "ShellLab",
    ],
    "Transcripts": ["KernelStructures", "KernelWorld", "ShellLab", "ShellTranscripts"],
    "Program": [
        "KernelStructures", "KernelStorage", "KernelWire", "KernelWorld", "KernelLoopback", "HashRingEngine",
        "RateLimiterEngine", "KVStoreEngine", "ShellSession", "ShellLab", "ShellPrompt", "CSystem",
    ],
    "Tidy": ["Commands", "ShellLanguage", "ShellSession", "CommandKit"],
]

let checksExclusivity = Context.environment["SDLAB_EXCLUSIVITY"] == "checked"

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
    products: rooms.compactMap { room in room.library.map { .library(name: $0, targets: [room.name]) } },
    targets: systemLibraries.map { .systemLibrary(name: $0, path: "Sources/\($0)") }
        + shims.map { .target(name: $0, path: "Sources/\($0)") }
        + rooms.map { room in
            .target(
                name: room.name, dependencies: room.uses.map { .byName(name: $0) }, path: "Sources/\(room.path)",
                exclude: room.excludes,
                swiftSettings: [
                    room.isHot && !checksExclusivity ? .unsafeFlags(["-enforce-exclusivity=unchecked"]) : nil,
                    room.isTestable ? .unsafeFlags(["-enable-testing"]) : nil,
                ].compactMap { $0 })
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
            // What `scripts/bench libs` runs, with a counter in front of the allocator.
            .target(name: "CAllocationCount", path: "Sources/CAllocationCount"),
            .executableTarget(
                name: "sdlab-bench",
                dependencies: (["CAllocationCount"] + (kernel + engines).map(\.name)).map { .byName(name: $0) },
                path: "Sources/Bench", linkerSettings: [.unsafeFlags(["-static-stdlib"])]),
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
    swiftLanguageModes: [.v6],
    cxxLanguageStandard: .cxx17
)
