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
    /// Not for rooms that a library needs: a program that imports one gets no flags that it did not ask for (and
    /// SwiftPM before 6.2 refuses a dependency with them; `scripts/test.d/libraries.py` looks). A hot property there
    /// says `@exclusivity(unchecked)` itself.
    var isHot = false
    /// Its tests look at what is inside (`@testable`); the program is built together with them.
    var isTestable = false
    /// The product's name, where another Swift package can import the room.
    var library: String? = nil
    let uses: [String]
}

let kernel = [
    Room(name: "KernelStructures", path: "Engines/Kernel/Structures", uses: []),
    Room(name: "KernelClock", path: "Engines/Kernel/Clock", uses: ["KernelStructures"]),
    Room(name: "KernelCoroutines", path: "Engines/Kernel/Coroutines", isHot: true, uses: []),
    // Protocol Buffers' wire format. A library needs it, so nothing of the other protocols is with it.
    Room(name: "KernelProtobuf", path: "Engines/Kernel/Protobuf", uses: []),
    Room(
        name: "KernelTelemetry", path: "Engines/Kernel/Telemetry", library: "Metrics",
        uses: ["KernelStructures", "KernelProtobuf"]),
    Room(name: "KernelJSON", path: "Engines/Kernel/JSON", uses: ["KernelStructures", "CRapidJSON"]),
    Room(
        name: "KernelRegularExpressions", path: "Engines/Kernel/RegularExpressions", uses: ["CRE2"]),
    Room(
        name: "KernelCryptography", path: "Engines/Kernel/Cryptography", uses: ["KernelStructures", "CCrypto"]),
    Room(name: "KernelCompression", path: "Engines/Kernel/Compression", uses: ["CSnappy", "CZlib", "CZstd"]),
    Room(name: "KernelStorage", path: "Engines/Kernel/Storage", uses: ["KernelStructures", "CSystem"]),
    Room(
        name: "KernelLog", path: "Engines/Kernel/Log", isHot: true,
        uses: ["KernelStructures", "KernelStorage", "CProcessor"]),
    Room(
        name: "KernelWire", path: "Engines/Kernel/Wire", isHot: true,
        uses: ["KernelStructures", "KernelCryptography"]),
    Room(
        name: "KernelStructuredFields", path: "Engines/Kernel/StructuredFields", uses: ["KernelCryptography"]),
    Room(name: "KernelAMQP", path: "Engines/Kernel/AMQP", isHot: true, uses: ["KernelStructures", "KernelWire"]),
    Room(
        name: "KernelOTLP", path: "Engines/Kernel/OTLP",
        uses: ["KernelStructures", "KernelProtobuf", "KernelTelemetry", "KernelJSON", "KernelCryptography"]),
    Room(
        name: "KernelSQLite", path: "Engines/Kernel/SQLite", isHot: true,
        uses: ["KernelStructures", "KernelStorage", "CSQLite"]),
    Room(
        name: "KernelWorld", path: "Engines/Kernel/World", isHot: true,
        uses: ["KernelStructures", "KernelTelemetry", "KernelStorage", "KernelCoroutines"]),
    Room(
        name: "KernelLoopback", path: "Engines/Kernel/Loopback", isHot: true,
        uses: ["KernelStructures", "KernelClock", "KernelStorage", "KernelWorld", "CSystem"]),
    Room(
        name: "KernelTLS", path: "Engines/Kernel/TLS",
        uses: ["KernelStructures", "KernelStorage", "KernelWorld", "COpenSSL"]),
    // Signed tokens and the keys for them.
    Room(
        name: "KernelJWT", path: "Engines/Kernel/JWT",
        uses: ["KernelStructures", "KernelJSON", "KernelCryptography", "COpenSSL"]),
    // What the servers of Redis's commands read in the same way.
    Room(name: "KernelRedis", path: "Engines/Kernel/Redis", uses: ["KernelStructures", "KernelWire"]),
    Room(name: "KernelConfiguration", path: "Engines/Kernel/Configuration", uses: ["KernelStructures", "CYAML"]),
    Room(
        name: "KernelHosting", path: "Engines/Kernel/Hosting", isHot: true,
        uses: [
            "KernelStructures", "KernelTelemetry", "KernelJSON", "KernelCryptography", "KernelCompression",
            "KernelWire",
            "KernelWorld",
        ]),
    // Pages for people: what all of them look like, and what their scripts have at hand.
    Room(name: "KernelPages", path: "Engines/Kernel/Pages", uses: ["KernelCryptography", "KernelHosting"]),
    Room(
        name: "KernelService", path: "Engines/Kernel/Service",
        uses: [
            "KernelStructures", "KernelJSON", "KernelTelemetry", "KernelOTLP", "KernelWire", "KernelWorld",
            "KernelHosting",
        ]),
]

/// A component is three rooms. Each uses the one before it without saying so, and what all of its kind use.
///
///   XEngine    Engines/X            pure: structures, algorithms, formats. It never sees the World
///   XService   Engines/X/Service    what runs on a node, and what it is asked over the network
///   XCommands  Commands/X           what is typed
struct Component {
    let name: String
    var engine: Room?
    var service: Room?
    var commands: Room?

    /// - Parameters:
    ///   - engine: what the pure room uses besides KernelStructures and KernelTelemetry; nil if there is none.
    ///   - service: what the service uses besides its engine, the World, Hosting and Service; nil if there is none.
    ///   - isServiceTestable: as `isTestable`, which is the engine's, for the service.
    ///   - commands: what is typed uses besides engine, service, JSON, CommandKit, CommandServices and ShellSession.
    init(
        _ name: String, library: String? = nil, isHot: Bool = false, isTestable: Bool = false,
        isServiceTestable: Bool = false, engine: [String]?, service: [String]? = nil, commands: [String]? = nil
    ) {
        self.name = name
        var own: [String] = []
        if let engine {
            self.engine = Room(
                name: "\(name)Engine", path: "Engines/\(name)", excludes: service == nil ? [] : ["Service"],
                isHot: isHot && library == nil, isTestable: isTestable, library: library,
                uses: ["KernelStructures", "KernelTelemetry"] + engine)
            own.append("\(name)Engine")
        }
        if let service {
            self.service = Room(
                name: "\(name)Service", path: "Engines/\(name)/Service", isHot: isHot, isTestable: isServiceTestable,
                uses: [
                    "KernelStructures", "KernelTelemetry", "KernelWire", "KernelWorld", "KernelHosting",
                    "KernelService",
                ] + service + own)
            own.append("\(name)Service")
        }
        if let commands {
            self.commands = Room(
                name: "\(name)Commands", path: "Commands/\(name)",
                uses: ["KernelStructures", "KernelJSON", "KernelService"] + commands + own
                    + ["CommandKit", "ShellSession", "CommandServices"])
        }
    }
}

/// What a component embeds stands above it; otherwise in the order of the documented list.
let components = [
    Component(
        "Chaos", isTestable: true, isServiceTestable: true,
        engine: ["KernelConfiguration", "KernelJSON", "KernelRegularExpressions"],
        service: ["KernelJSON"],
        commands: [
            "KernelConfiguration", "KernelHosting", "KernelRegularExpressions", "KernelTLS", "KernelWire",
            "KernelWorld",
            "ShellLanguage",
        ]),
    Component("Backend", isHot: true, engine: [], service: [], commands: ["KernelWire", "KernelWorld"]),
    Component(
        "HashRing", library: "HashRing", engine: ["KernelCryptography"], service: [],
        commands: ["KernelWire", "KernelWorld", "KernelHosting"]),
    Component(
        "LoadBalancer", isHot: true, engine: ["KernelConfiguration", "KernelWire", "HashRingEngine"],
        service: ["KernelTLS"], commands: ["KernelStorage", "KernelConfiguration"]),
    Component(
        "RateLimiter", library: "RateLimiter", isHot: true, engine: [],
        service: ["KernelJSON", "KernelCryptography", "KernelConfiguration", "KernelStructuredFields"],
        commands: []),
    Component(
        "KVStore", isHot: true, isTestable: true, engine: ["KernelStorage", "CProcessor", "CSnappy"],
        service: ["KernelRedis"], commands: ["KernelWire", "KernelWorld", "KernelHosting", "CommandRedis"]),
    Component(
        "Cache", isHot: true, isTestable: true,
        engine: ["KernelCryptography", "KernelWire", "KernelRedis"], service: ["KernelRedis"]),
    Component(
        "CacheCluster", isTestable: true, engine: ["HashRingEngine"],
        service: ["KernelStorage", "KernelLog", "KernelRedis", "CacheEngine", "CacheService"]),
    // What is typed for a cache, alone or in a cluster.
    Component(
        "Cache", engine: nil,
        commands: [
            "KernelWire", "KernelWorld", "KernelHosting", "CommandRedis", "CacheEngine", "CacheService",
            "CacheClusterEngine", "CacheClusterService",
        ]),
    Component(
        "CircuitBreaker", library: "CircuitBreaker", engine: ["KernelClock"],
        commands: [
            "KernelTelemetry", "KernelConfiguration", "KernelWire", "KernelWorld", "KernelHosting", "ResilienceEngine",
        ]),
    Component("Resilience", library: "Resilience", engine: ["CircuitBreakerEngine"]),
    Component(
        "ConnectionPool", library: "ConnectionPool", isHot: true, engine: ["KernelClock"], service: [],
        commands: ["KernelTelemetry", "KernelHosting", "KernelWire", "KernelWorld"]),
    // What several components replicate their state with.
    Component("Consensus", engine: ["KernelStorage", "KernelLog"], service: ["KernelStorage"]),
    // What a broker does not forget.
    Component("MessageLog", isHot: true, isTestable: true, engine: ["KernelStorage", "KernelLog"]),
    Component(
        "Lock", engine: ["KernelJSON"],
        service: ["KernelJSON", "KernelCryptography", "ConsensusEngine", "ConsensusService"]),
    // Worlds in which groups of lock servers, and all around them, fail.
    Component(
        "LockCheck", isTestable: true, engine: ["KernelStorage", "ConsensusEngine", "LockEngine"],
        service: [
            "KernelCryptography", "KernelJSON", "KernelStorage", "ConsensusEngine", "ConsensusService", "LockService",
        ]),
    Component(
        "Lock", engine: nil,
        commands: [
            "KernelCryptography", "KernelHosting", "KernelWire", "KernelWorld", "ConsensusEngine", "ConsensusService",
            "LockEngine", "LockService", "LockCheckEngine", "LockCheckService",
        ]),
    Component(
        "Pooler", isHot: true, engine: ["KernelWire"],
        service: ["KernelCryptography", "KernelTLS", "ConnectionPoolEngine", "ConnectionPoolService"],
        commands: ["KernelWire", "KernelWorld", "KernelHosting", "ConnectionPoolEngine", "ConnectionPoolService"]),
    Component(
        "Database", isHot: true, isTestable: true,
        engine: [
            "KernelStorage", "KernelWire", "KernelCryptography", "KernelJSON", "KernelRegularExpressions",
            "KernelSQLite", "KernelCoroutines", "CPgQuery", "CBigNumber",
        ], service: ["KernelStorage"],
        commands: ["KernelWire", "KernelWorld"]),
    Component(
        "Registry", engine: ["KernelJSON", "KernelRegularExpressions", "KernelCryptography", "KernelWire"],
        service: ["KernelJSON", "KernelCryptography", "ConsensusService"],
        commands: ["KernelWire", "KernelWorld", "KernelHosting"]),
    Component(
        "CacheLayer", library: "CacheLayer", engine: ["KernelClock"], service: ["KernelJSON", "KernelStorage"],
        commands: ["KernelTelemetry", "KernelWire", "KernelWorld", "KernelHosting"]),
    // Series and samples: what a store of them and the language of queries agree on.
    Component("TimeSeries", engine: ["KernelRegularExpressions"]),
    Component(
        "PromQL", isTestable: true,
        engine: ["KernelConfiguration", "KernelJSON", "KernelRegularExpressions", "TimeSeriesEngine"]),
    Component(
        "MetricsCollector", isTestable: true,
        engine: [
            "KernelConfiguration", "KernelCryptography", "KernelJSON", "KernelProtobuf", "KernelRegularExpressions",
            "KernelStorage", "KernelCompression", "KernelWire", "TimeSeriesEngine",
        ],
        service: [
            "KernelCompression", "KernelConfiguration", "KernelCoroutines", "KernelJSON", "KernelStorage",
            "PromQLEngine", "TimeSeriesEngine",
        ],
        commands: [
            "KernelHosting", "KernelTLS", "KernelWire", "KernelWorld", "TimeSeriesEngine",
        ]),
    Component(
        "MessageQueue", isHot: true, isTestable: true, isServiceTestable: true,
        engine: ["KernelAMQP", "KernelRegularExpressions"],
        service: [
            "KernelStorage", "KernelAMQP", "KernelCryptography", "KernelJSON", "KernelLog", "KernelRegularExpressions",
            "MessageLogEngine", "ConsensusService",
        ],
        commands: [
            "KernelAMQP", "KernelCryptography", "KernelHosting", "KernelWire", "KernelWorld", "ConsensusService",
        ]),
    Component(
        "Shortener", isHot: true, isTestable: true, isServiceTestable: true,
        engine: ["KernelStorage", "KernelLog", "CQREncode", "CUnicodeNames", "CZlib"],
        service: [
            "KernelCryptography", "KernelJSON", "KernelPages", "KernelStorage", "KernelSQLite", "RateLimiterEngine",
            "CacheLayerEngine", "CacheLayerService", "KernelAMQP", "MessageQueueService",
        ],
        commands: ["KernelAMQP", "KernelHosting", "KernelWire", "MessageQueueService"]),
    Component(
        "FeatureFlags", library: "FeatureFlags",
        engine: ["KernelClock", "KernelJSON", "KernelRegularExpressions", "KernelStorage"],
        service: ["KernelJSON", "KernelCryptography", "KernelPages", "KernelStorage", "KernelSQLite"],
        commands: ["KernelHosting", "KernelWire", "KernelWorld"]),
    Component(
        "Gateway", isHot: true,
        engine: [
            "KernelConfiguration", "KernelCryptography", "KernelJSON", "KernelRegularExpressions", "KernelWire",
            "CircuitBreakerEngine", "HashRingEngine", "LoadBalancerEngine", "RateLimiterEngine",
        ],
        service: [
            "KernelCryptography", "KernelJSON", "KernelJWT", "KernelTLS", "CircuitBreakerEngine",
            "LoadBalancerEngine", "LoadBalancerService", "RateLimiterEngine", "RateLimiterService",
        ], commands: ["KernelCryptography", "KernelWire", "KernelWorld", "ShellLanguage"]),
    // What is typed about tokens; KernelJWT does the work.
    Component("JWT", engine: nil, commands: ["KernelCryptography", "KernelJWT"]),
    // Traces: what `jaeger` keeps and `trace` draws.
    Component(
        "Tracing", isTestable: true,
        engine: ["KernelCryptography", "KernelJSON", "KernelLog", "KernelOTLP", "KernelStorage"],
        service: ["KernelCompression", "KernelJSON", "KernelOTLP", "KernelStorage"],
        commands: ["KernelOTLP", "KernelPages", "KernelTelemetry", "KernelHosting", "KernelWire", "KernelWorld"]),
    // What every service of the shop has: a port, a database, an entry in the registry, a way to the others.
    Component(
        "ShopKit", engine: nil,
        service: [
            "KernelJSON", "KernelAMQP", "CircuitBreakerEngine", "FeatureFlagsEngine", "FeatureFlagsService",
            "ResilienceEngine", "MessageQueueService",
        ], commands: ["KernelAMQP", "KernelWire", "KernelWorld", "MessageQueueService"]),
    // The shop's people, and what they are told.
    Component(
        "ShopAccounts", isTestable: true, engine: ["KernelCryptography", "KernelJSON"],
        service: [
            "KernelAMQP", "KernelCryptography", "KernelJSON", "KernelJWT", "KernelStorage", "KernelTLS",
            "MessageQueueService", "ShopKitService",
        ]),
    Component(
        "Shop", isTestable: true, isServiceTestable: true, engine: ["KernelConfiguration", "KernelJSON"],
        service: [
            "KernelJSON", "KernelAMQP", "KernelPages", "KernelStructuredFields", "MessageQueueService",
            "ShopKitService",
        ],
        commands: [
            "KernelWire", "KernelWorld", "KernelHosting", "ShopKitService", "ShopKitCommands", "ShopAccountsService",
        ]),
    // What is typed for them.
    Component(
        "ShopAccounts", engine: nil,
        commands: [
            "KernelHosting", "KernelWire", "KernelWorld", "ShopKitService", "ShopKitCommands", "ShopAccountsService",
        ]),
    // Log lines: what a store of them and the language of queries agree on.
    Component("LogModel", engine: ["TimeSeriesEngine"]),
    Component(
        "LogQL", isTestable: true, isServiceTestable: true,
        engine: ["KernelJSON", "KernelRegularExpressions", "TimeSeriesEngine", "PromQLEngine", "LogModelEngine"],
        service: ["KernelJSON", "TimeSeriesEngine", "PromQLEngine", "LogModelEngine"],
        commands: ["KernelHosting", "KernelWire", "KernelWorld", "TimeSeriesEngine"]),
    Component(
        "LogStore", isHot: true, isTestable: true, isServiceTestable: true,
        engine: [
            "KernelStorage", "KernelLog", "KernelCompression", "KernelJSON", "KernelOTLP", "KernelProtobuf",
            "KernelRegularExpressions", "TimeSeriesEngine", "LogModelEngine",
        ],
        service: [
            "KernelStorage", "KernelCompression", "KernelOTLP", "KernelCryptography", "KernelJSON",
            "TimeSeriesEngine", "LogModelEngine", "LogQLEngine", "LogQLService",
        ],
        commands: ["KernelHosting", "KernelStorage", "KernelWire", "KernelWorld", "TimeSeriesEngine", "LogModelEngine"]),
    // new-room: components
]

let engines = components.compactMap(\.engine)
let services = components.compactMap(\.service)
let componentCommands = components.compactMap(\.commands)

let session = [
    Room(name: "CommandKit", path: "Commands/Kit", uses: ["KernelStructures", "KernelJSON"]),
    Room(name: "ShellLanguage", path: "Shell/Language", uses: ["KernelStructures"]),
    Room(
        name: "ShellSession", path: "Shell/Session",
        uses: [
            "KernelStructures", "KernelStorage", "KernelRegularExpressions", "KernelWorld", "CommandKit",
            "ShellLanguage",
        ]),
    Room(
        name: "CommandServices", path: "Commands/Services",
        uses: [
            "KernelStructures", "KernelStorage", "KernelWire", "KernelAMQP", "KernelWorld", "KernelTLS",
            "KernelHosting", "KernelService", "CommandKit", "ShellSession",
        ]),
    Room(
        name: "CommandRedis", path: "Commands/Redis",
        uses: [
            "KernelStructures", "KernelJSON", "KernelWire", "KernelWorld", "KernelTLS", "KernelHosting", "CommandKit",
            "ShellSession", "CommandServices",
        ]),
    Room(
        name: "GeneralCommands", path: "Commands/General",
        uses: [
            "KernelStructures", "KernelTelemetry", "KernelJSON", "KernelRegularExpressions", "KernelCryptography",
            "KernelCoroutines", "KernelWorld", "KernelTLS", "KernelPages", "CTours", "CommandKit", "ShellLanguage",
            "ShellSession", "CommandServices",
        ]),
    Room(
        name: "CurlCommands", path: "Commands/Curl",
        uses: [
            "KernelStructures", "KernelCryptography", "KernelJSON", "KernelWire", "KernelWorld", "KernelTLS",
            "KernelHosting", "CommandKit", "ShellSession",
        ]),
    Room(
        name: "SQLCommands", path: "Commands/SQL",
        uses: [
            "KernelStructures", "KernelJSON", "KernelWire", "KernelWorld", "KernelTLS", "KernelHosting", "CommandKit",
            "ShellSession", "CommandServices",
        ]),
]

let shell = [
    Room(
        name: "Commands", path: "Commands/Catalog",
        uses: ["ShellSession", "CommandServices", "GeneralCommands", "CurlCommands", "SQLCommands"]
            + componentCommands.map(\.name)),
    Room(
        name: "ShellLab", path: "Shell/Lab",
        uses: [
            "KernelStructures", "KernelClock", "KernelStorage", "KernelWorld", "KernelLoopback", "KernelTLS",
            "CommandKit", "ShellLanguage", "ShellSession", "ChaosService", "ChaosCommands", "Commands",
        ]),
    Room(
        name: "ShellTranscripts", path: "Shell/Transcripts",
        uses: [
            "KernelStructures", "KernelJSON", "KernelRegularExpressions", "KernelWorld", "KernelLoopback", "CommandKit",
            "GeneralCommands", "Commands", "ShellLanguage", "ShellSession", "ShellLab",
        ]),
    Room(
        name: "ShellPrompt", path: "Shell/Prompt",
        uses: [
            "KernelStructures", "KernelClock", "KernelWorld", "KernelLoopback", "ChaosService", "CommandKit",
            "ShellLanguage", "ShellSession", "ShellLab", "CEdit",
        ]),
]

let rooms = kernel + engines + services + session + componentCommands + shell
let systemLibraries = [
    "CBigNumber", "CSystem", "CYAML", "CEdit", "CCrypto", "COpenSSL", "CPgQuery", "CProcessor", "CQREncode", "CSQLite",
    "CSnappy", "CZlib", "CZstd",
]
/// Libraries in C++, or with headers that Swift must not see, behind a plain C interface, with what is to be linked for
/// them; and texts that lie in the program.
let shims: [(String, [String])] = [("CRapidJSON", []), ("CRE2", ["re2"]), ("CTours", []), ("CUnicodeNames", ["icuuc"])]

/// One folder of tests for a group of rooms. `Program` drives the built program from outside.
let tests = [
    "Kernel": kernel.map(\.name),
    "TLS": ["KernelStructures", "KernelStorage", "KernelWire", "KernelWorld", "KernelTLS", "KernelHosting"],
    "Chaos": [
        "KernelStructures", "KernelJSON", "KernelWire", "KernelWorld", "KernelHosting", "KernelService",
        "BackendService", "ChaosEngine", "ChaosService", "ShellLanguage", "ShellSession", "ShellLab",
    ],
    "Backend": ["KernelStructures", "BackendEngine"],
    "LoadBalancer": [
        "KernelStructures", "KernelConfiguration", "KernelWire", "KernelWorld", "KernelHosting", "KernelService",
        "BackendService",
        "ChaosService", "LoadBalancerEngine", "LoadBalancerService", "ShellLanguage", "ShellSession",
        "ShellLab",
    ],
    "Upstream": [
        "KernelStructures", "KernelTelemetry", "KernelWire", "KernelWorld", "KernelHosting", "KernelService",
        "LoadBalancerEngine",
        "LoadBalancerService",
        "RateLimiterEngine", "RateLimiterService",
    ],
    "RateLimiter": [
        "KernelStructures", "KernelJSON", "KernelCryptography", "KernelConfiguration", "KernelStructuredFields",
        "KernelWire", "KernelWorld", "KernelHosting", "KernelService", "RateLimiterEngine", "RateLimiterService",
    ],
    "KVStore": [
        "KernelStructures", "KernelStorage", "KernelWire", "KernelWorld", "KernelHosting", "KVStoreEngine",
        "KVStoreService",
    ],
    "Cache": [
        "KernelStructures", "KernelCompression", "KernelWire", "KernelWorld", "KernelHosting", "CacheEngine",
        "CacheService",
    ],
    "CircuitBreaker": ["KernelStructures", "KernelLoopback", "CircuitBreakerEngine"],
    "Resilience": ["KernelStructures", "CircuitBreakerEngine", "ResilienceEngine"],
    "HashRing": ["KernelStructures", "KernelWire", "KernelWorld", "HashRingEngine", "HashRingService"],
    "ConnectionPool": [
        "KernelStructures", "KernelWire", "KernelWorld", "KernelHosting", "ConnectionPoolEngine",
        "ConnectionPoolService",
    ],
    "Consensus": [
        "KernelStructures", "KernelStorage", "KernelWire", "KernelWorld", "KernelHosting", "KernelService",
        "ConsensusEngine", "ConsensusService", "LockCheckEngine",
    ],
    "LockCheck": ["LockEngine", "LockCheckEngine", "LockCheckService"],
    "Database": [
        "KernelStructures", "KernelClock", "KernelStorage", "KernelWire", "KernelSQLite", "KernelWorld",
        "DatabaseEngine",
        "DatabaseService",
    ],
    "MessageLog": ["KernelStructures", "KernelStorage", "KernelLog", "MessageLogEngine"],
    "Lock": [
        "KernelStructures", "KernelStorage", "KernelJSON", "KernelCryptography", "KernelWire", "KernelWorld",
        "KernelHosting", "KernelService", "ConsensusService", "LockEngine", "LockService",
    ],
    "Pooler": [
        "KernelStructures", "KernelCryptography", "KernelWire", "KernelWorld", "KernelHosting", "KernelService",
        "ConnectionPoolEngine", "PoolerEngine", "PoolerService",
    ],
    "PostgreSQL": ["KernelStructures", "KernelCryptography", "KernelWire", "KernelWorld", "KernelHosting"],
    "Shortener": [
        "KernelStructures", "KernelStorage", "KernelJSON", "KernelWire", "KernelAMQP", "KernelWorld", "KernelTLS",
        "KernelService", "MessageQueueService", "ShortenerEngine", "ShortenerService",
    ],
    "Registry": [
        "KernelStructures", "KernelJSON", "KernelWire", "KernelWorld", "KernelHosting", "KernelService",
        "RegistryEngine", "RegistryService",
    ],
    "CacheCluster": [
        "KernelStructures", "KernelWire", "KernelWorld", "KernelHosting", "KernelService", "CacheEngine",
        "CacheService", "CacheClusterEngine", "CacheClusterService",
    ],
    "PromQL": ["KernelStructures", "KernelConfiguration", "KernelJSON", "TimeSeriesEngine", "PromQLEngine"],
    "CacheLayer": [
        "KernelStructures", "KernelStorage", "KernelJSON", "KernelWire", "KernelWorld", "KernelHosting",
        "KernelService", "CacheLayerEngine", "CacheLayerService",
    ],
    "Shop": [
        "KernelStructures", "KernelJSON", "KernelConfiguration", "KernelWire", "KernelWorld", "KernelHosting",
        "KernelService", "KernelTelemetry", "DatabaseService", "MessageQueueService", "ShopKitService",
        "ShopAccountsService", "ShopEngine", "ShopService",
    ],
    "FeatureFlags": [
        "KernelStructures", "KernelClock", "KernelJSON", "KernelWire", "KernelWorld", "KernelHosting", "KernelService",
        "FeatureFlagsEngine", "FeatureFlagsService", "CAllocationCount",
    ],
    "MetricsCollector": [
        "KernelStructures", "KernelClock", "KernelConfiguration", "KernelCoroutines", "KernelJSON", "KernelProtobuf",
        "KernelStorage", "KernelTelemetry", "KernelWire", "KernelWorld", "KernelHosting", "KernelService",
        "TimeSeriesEngine", "PromQLEngine", "MetricsCollectorEngine", "MetricsCollectorService",
    ],
    "MessageQueue": [
        "KernelStructures", "KernelStorage", "KernelJSON", "KernelCryptography", "KernelWire", "KernelAMQP",
        "KernelWorld", "KernelHosting", "KernelService", "ConsensusService", "MessageLogEngine", "MessageQueueEngine",
        "MessageQueueService",
    ],
    "JWT": ["KernelStructures", "KernelJSON", "KernelCryptography", "KernelJWT"],
    "ShopAccounts": ["KernelStructures", "KernelJSON", "ShopAccountsEngine"],
    "Tracing": [
        "KernelStructures", "KernelStorage", "KernelTelemetry", "KernelCompression", "KernelJSON", "KernelOTLP",
        "KernelProtobuf", "KernelWire", "KernelAMQP", "KernelWorld", "KernelHosting", "KernelService", "BackendService",
        "LoadBalancerEngine", "LoadBalancerService", "MessageQueueEngine", "MessageQueueService", "TracingEngine",
        "TracingService",
    ],
    "Gateway": [
        "KernelStructures", "KernelConfiguration", "KernelCryptography", "KernelJSON", "KernelJWT", "KernelWire",
        "KernelWorld", "KernelService", "RateLimiterEngine", "GatewayEngine", "GatewayService",
    ],
    "LogStore": [
        "KernelStructures", "KernelStorage", "KernelCompression", "KernelJSON", "KernelWire", "KernelWorld",
        "KernelHosting", "KernelOTLP", "KernelProtobuf", "KernelService", "CSnappy", "TimeSeriesEngine",
        "LogModelEngine", "LogQLEngine",
        "LogStoreEngine", "LogStoreService",
    ],
    "LogQL": [
        "KernelStructures", "KernelJSON", "KernelWire", "KernelWorld", "KernelHosting", "TimeSeriesEngine",
        "PromQLEngine", "LogModelEngine", "LogQLEngine", "LogQLService",
    ],
    // new-room: tests
    "Shell": [
        "KernelStructures", "KernelStorage", "KernelJSON", "KernelWorld", "CommandKit", "ShellLanguage", "ShellSession",
        "Commands", "ShellLab",
    ],
    "Transcripts": [
        "KernelStructures", "KernelWorld", "KernelLoopback", "GeneralCommands", "Commands", "ShellLab",
        "ShellTranscripts",
    ],
    "Program": [
        "KernelStructures", "KernelStorage", "KernelWire", "KernelWorld", "KernelLoopback", "HashRingEngine",
        "RateLimiterEngine", "RateLimiterService", "KVStoreEngine", "ShellLanguage", "ShellSession", "ShellLab",
        "ShellPrompt", "CSystem",
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
        + shims.map { name, libraries in
            .target(name: name, path: "Sources/\(name)", linkerSettings: libraries.map { .linkedLibrary($0) })
        }
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
                    "KernelStructures", "KernelClock", "KernelWorld", "KernelLoopback", "CommandKit",
                    "GeneralCommands", "Commands", "ShellLanguage", "ShellSession", "ShellLab", "ShellTranscripts",
                    "ShellPrompt",
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
