package import Bytes

/// The answers to `GET /v1/models` and `GET /v1/models/{id}`, in one shape that both OpenAI's and Anthropic's SDKs
/// read.
package enum ModelList {
    /// A model as clients see it.
    package struct Entry: Sendable, Equatable {
        /// The name clients write.
        package var id: [UInt8]
        /// Seconds since 1970.
        package var created: Int
        /// Who made it, or `penstock`.
        package var ownedBy: [UInt8]

        /// A model.
        package init(id: [UInt8], created: Int, ownedBy: [UInt8]) {
            self.id = id
            self.created = created
            self.ownedBy = ownedBy
        }
    }

    /// Appends the list.
    package static func write(_ models: [Entry], into queue: inout ByteQueue) {
        queue.append("{\"object\":\"list\",\"data\":[")
        for (index, model) in models.enumerated() {
            if index > 0 { queue.append(UInt8(ascii: ",")) }
            write(model, into: &queue)
        }
        queue.append("],\"has_more\":false,\"first_id\":")
        writeID(models.first, into: &queue)
        queue.append(",\"last_id\":")
        writeID(models.last, into: &queue)
        queue.append("}")
    }

    /// Appends one model.
    package static func write(_ model: Entry, into queue: inout ByteQueue) {
        queue.append("{\"id\":")
        queue.append(jsonString: model.id.span)
        queue.append(",\"object\":\"model\",\"created\":")
        queue.append(decimal: max(0, model.created))
        queue.append(",\"owned_by\":")
        queue.append(jsonString: model.ownedBy.span)
        queue.append(",\"type\":\"model\",\"display_name\":")
        queue.append(jsonString: model.id.span)
        queue.append(",\"created_at\":\"")
        writeDate(max(0, model.created), into: &queue)
        queue.append("\",\"lifecycle\":\"active\"}")
    }

    private static func writeID(_ model: Entry?, into queue: inout ByteQueue) {
        if let model {
            queue.append(jsonString: model.id.span)
        } else {
            queue.append("null")
        }
    }

    /// Appends an instant as RFC 3339 writes it, in UTC.
    private static func writeDate(_ seconds: Int, into queue: inout ByteQueue) {
        // Days to a date of the Gregorian calendar: eras of 400 years, years that begin in March.
        let day = min(seconds / 86400, 2_932_896) + 719_468
        let dayOfEra = day % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let year = yearOfEra + day / 146_097 * 400 + (month >= 10 ? 1 : 0)
        writePadded(year, digits: 4, into: &queue)
        queue.append("-")
        writePadded(month < 10 ? month + 3 : month - 9, digits: 2, into: &queue)
        queue.append("-")
        writePadded(dayOfYear - (153 * month + 2) / 5 + 1, digits: 2, into: &queue)
        queue.append("T")
        writePadded(seconds % 86400 / 3600, digits: 2, into: &queue)
        queue.append(":")
        writePadded(seconds % 3600 / 60, digits: 2, into: &queue)
        queue.append(":")
        writePadded(seconds % 60, digits: 2, into: &queue)
        queue.append("Z")
    }

    private static func writePadded(_ number: Int, digits: Int, into queue: inout ByteQueue) {
        var bound = 10
        for _ in 1..<digits {
            if number < bound { queue.append(UInt8(ascii: "0")) }
            bound *= 10
        }
        queue.append(decimal: number)
    }
}

extension ModelList {
    /// The most models taken from one engine.
    package static let readLimit = 4096

    /// What an engine says of its models.
    package struct Listing: Sendable, Equatable {
        package var names: [[UInt8]] = []
        /// The first known kind that an `owned_by` tells of; `.other` if it is none, `nil` if there is no `owned_by`.
        package var engine: EngineKind?
    }

    /// The names in an engine's own answer to `GET /v1/models`.
    ///
    /// - Returns: `nil` if the answer is not such a list.
    package static func readNames(_ body: Span<UInt8>) -> [[UInt8]]? { read(body)?.names }

    /// What an engine's own answer to `GET /v1/models` says.
    ///
    /// Tolerant: `data` (OpenAI, most engines) or `models` (Ollama, older llama.cpp), whose elements have `id`,
    /// `model` or `name`, or are texts; all else may be missing. Names that no client could write are left out, and so
    /// are doubles.
    /// - Returns: `nil` if the answer is not such a list.
    package static func read(_ body: Span<UInt8>) -> Listing? {
        do throws(JSONError) {
            return try listing(body)
        } catch {
            return nil
        }
    }

    private static func listing(_ body: Span<UInt8>) throws(JSONError) -> Listing? {
        let whole = try readJSON(body)
        if whole.kind == .array { return try listing(ofArray: body.extracting(whole.range)) }
        guard whole.kind == .object else { return nil }
        var reader = JSONMemberReader()
        var found: Listing?
        while let member = try reader.next(body) {
            guard member.value.kind == .array || member.value.kind == .null else { continue }
            let isData = isKey(member, "data", in: body)
            guard isData || isKey(member, "models", in: body) else { continue }
            let listing =
                member.value.kind == .null ? Listing() : try listing(ofArray: body.extracting(member.value.range))
            // llama.cpp writes both; OpenAI's is the one to go by.
            if isData || found == nil { found = listing }
            if isData { break }
        }
        return found
    }

    private static func listing(ofArray array: Span<UInt8>) throws(JSONError) -> Listing {
        var listing = Listing()
        var known: Set<[UInt8]> = []
        var elements = JSONElementReader()
        while listing.names.count < readLimit, let element = try elements.next(array) {
            let (name, engine) = try model(element, array)
            if let engine, listing.engine ?? .other == .other { listing.engine = engine }
            guard let name, known.insert(name).inserted else { continue }
            listing.names.append(name)
        }
        return listing
    }

    private static func model(
        _ element: JSONValue, _ array: Span<UInt8>
    ) throws(JSONError) -> (name: [UInt8]?, engine: EngineKind?) {
        var name = jsonText(element, in: array)
        var hasID = false
        var engine: EngineKind?
        if element.kind == .object {
            let object = array.extracting(element.range)
            var reader = JSONMemberReader()
            while let member = try reader.next(object) {
                guard member.value.kind == .string else { continue }
                if isKey(member, "owned_by", in: object) {
                    engine = jsonText(member.value, in: object).map { EngineKind(ownedBy: $0.span) }
                } else if isKey(member, "id", in: object) {
                    name = jsonText(member.value, in: object)
                    hasID = true
                } else if !hasID,
                    isKey(member, "model", in: object) || (name == nil && isKey(member, "name", in: object))
                {
                    name = jsonText(member.value, in: object)
                }
            }
        }
        guard let name else { return (nil, engine) }
        do throws(BodyError) {
            try checkModelName(name.span)
        } catch {
            return (nil, engine)
        }
        return (name, engine)
    }
}
