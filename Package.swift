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
]

let systemLibraries = ["CSystem", "CYAML"]

let package = Package(
    name: "sdlab",
    targets: systemLibraries.map { .systemLibrary(name: $0, path: "Sources/\($0)") }
        + rooms.map { room in
            .target(
                name: room.name, dependencies: room.uses.map { .byName(name: $0) }, path: "Sources/\(room.path)")
        },
    swiftLanguageModes: [.v6]
)
