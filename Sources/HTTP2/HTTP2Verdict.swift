/// Error codes of HTTP/2. RFC 9113 section 7.
package enum HTTP2Code {
    package static let noError: UInt32 = 0
    package static let protocolError: UInt32 = 1
    package static let internalError: UInt32 = 2
    package static let flowControlError: UInt32 = 3
    package static let settingsTimeout: UInt32 = 4
    package static let streamClosed: UInt32 = 5
    package static let frameSizeError: UInt32 = 6
    package static let refusedStream: UInt32 = 7
    package static let cancel: UInt32 = 8
    package static let compressionError: UInt32 = 9
    package static let enhanceYourCalm: UInt32 = 11
}

/// What to do with a connection after its session has taken or given bytes.
package enum HTTP2Verdict: Equatable, Sendable {
    /// Go on.
    case ok
    /// Both sides are done: send what is left, then close.
    case finished
    /// Send what is left, for a GOAWAY is in it, then close; after a second at the latest, sent or not.
    case close(HTTP2CloseReason)

    /// Whether the connection goes on.
    package var isOK: Bool { self == .ok }
}

/// Why a connection is cut. Bounded, so it may be a metric's label.
package enum HTTP2CloseReason: UInt8, Sendable, CaseIterable, Error {
    // Floods.
    case resets, earlyResets, pings, settings, priorities, emptyData, unknownFrames, glitches, ignoredData
    case windowUpdates, continuations, acknowledgements, headerList
    // Broken rules.
    case badPreface, closedStream, unopenedStream, priorityOnConnection, prioritySize, selfDependency
    /// A rule of the protocol that nghttp2 saw broken.
    case protocolViolation
    /// The caller asked for it.
    case local
    /// nghttp2 failed: out of memory, or a mistake of ours.
    case library

    /// The error code of the GOAWAY that says so.
    package var code: UInt32 {
        switch self {
        case .resets, .earlyResets, .pings, .settings, .priorities, .emptyData, .unknownFrames, .glitches,
            .ignoredData, .windowUpdates, .continuations, .acknowledgements, .headerList:
            HTTP2Code.enhanceYourCalm
        case .badPreface, .unopenedStream, .priorityOnConnection, .selfDependency, .protocolViolation:
            HTTP2Code.protocolError
        case .closedStream: HTTP2Code.streamClosed
        case .prioritySize: HTTP2Code.frameSizeError
        case .local: HTTP2Code.noError
        case .library: HTTP2Code.internalError
        }
    }

    /// The reason as logs and metrics write it.
    package var text: StaticString {
        switch self {
        case .resets: "reset_flood"
        case .earlyResets: "early_reset_flood"
        case .pings: "ping_flood"
        case .settings: "settings_flood"
        case .priorities: "priority_flood"
        case .emptyData: "empty_data_flood"
        case .unknownFrames: "unknown_frame_flood"
        case .glitches: "glitches"
        case .ignoredData: "ignored_data_flood"
        case .windowUpdates: "window_update_flood"
        case .continuations: "continuation_flood"
        case .acknowledgements: "acknowledgement_flood"
        case .headerList: "header_list"
        case .badPreface: "bad_preface"
        case .closedStream: "closed_stream"
        case .unopenedStream: "unopened_stream"
        case .priorityOnConnection: "priority_on_connection"
        case .prioritySize: "priority_size"
        case .selfDependency: "self_dependency"
        case .protocolViolation: "protocol_violation"
        case .local: "local"
        case .library: "library"
        }
    }
}
