// swift-tools-version: 6.2
import PackageDescription

// Somebody else's program, which takes the libraries by a version. scripts/test.d/libraries.py puts the address of a
// clone in the place of the words in capitals.
let package = Package(
    name: "consumer",
    dependencies: [.package(url: "file://REPOSITORY", from: "1.0.0")],
    targets: [
        .executableTarget(
            name: "consumer",
            dependencies: [
                .product(name: "CacheLayer", package: "sdlab"), .product(name: "CircuitBreaker", package: "sdlab"),
                .product(name: "ConnectionPool", package: "sdlab"), .product(name: "FeatureFlags", package: "sdlab"),
                .product(name: "HashRing", package: "sdlab"), .product(name: "Metrics", package: "sdlab"),
                .product(name: "RateLimiter", package: "sdlab"), .product(name: "Resilience", package: "sdlab"),
            ])
    ],
    swiftLanguageModes: [.v6]
)
