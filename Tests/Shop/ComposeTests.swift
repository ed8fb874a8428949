import KernelConfiguration
import TestSupport
import Testing

@testable import ShopEngine

@Suite("Compose files")
struct ComposeTests {
    private func file(_ text: String) throws(ConfigurationError) -> ComposeFile {
        try ComposeFile(Array(text.utf8), file: "compose.yaml")
    }

    private func error(_ text: String) -> String {
        do throws(ConfigurationError) {
            _ = try file(text)
            return "it was read"
        } catch {
            return error.description
        }
    }

    @Test("services come after those that they depend on")
    func order() throws {
        let file = try file(
            """
            services:
              orders:
                image: sdlab/shop-orders
                depends_on: {db: {condition: service_healthy}, mq: {condition: service_started}}
                deploy: {replicas: 3}
              mq: {image: sdlab/messageq, command: "--data-dir ./mq", ports: ["5672:5672"]}
              db:
                image: sdlab/postgres
                environment: [DATA_DIR=./pg]
                healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:9100/health"], interval: 2s, retries: 5}
                restart: on-failure:3
            """)
        #expect(file.services.map(\.name) == ["mq", "db", "orders"])
        #expect(file["orders"]?.replicas == 3)
        #expect(file["mq"]?.words == ["--data-dir", "./mq"])
        #expect(file["mq"]?.port == 5672)
        #expect(file["db"]?.words == ["--data-dir", "./pg"])
        #expect(file["db"]?.health?.port == 9100)
        #expect(file["db"]?.health?.path == "/health")
        #expect(file["db"]?.restart == .onFailure(3))
    }

    @Test("what is wrong is said with its place")
    func mistakes() {
        #expect(error("services: {a: {image: redis}}").contains("is not sdlab/COMMAND"))
        #expect(error("services: {a: {command: x}}").contains("has no image"))
        #expect(error("services: {a: {image: sdlab/x, volumes: [y]}}").contains("unknown key 'volumes'"))
        #expect(error("services: {a: {image: sdlab/x, ports: [\"80:81\"]}}").contains("the same number twice"))
        #expect(error("services: {a: {image: sdlab/x, ports: [0]}}").contains("the same number twice"))
        #expect(error("services: {a: {image: sdlab/x, depends_on: [bb]}, b: {image: sdlab/x}}").contains("'bb'"))
        #expect(
            error("services: {a: {image: sdlab/x, depends_on: [b]}, b: {image: sdlab/x, depends_on: [a]}}")
                .contains("circle: a, b"))
        #expect(error("services: {}").contains("1 to 200"))
        #expect(error("servces: {}").contains("unknown key 'servces'"))
        #expect(error("services: {a: {image: sdlab/x, restart: sometimes}}").hasPrefix("compose.yaml:1:"))
    }

    @Test("scaling a service that there is not")
    func scaling() throws {
        var file = try file("services: {a: {image: sdlab/x}}")
        #expect(file.scale("a", 3) == true)
        #expect(file.services[0].replicas == 3)
        #expect(file.scale("b", 3) == false)
    }
}
