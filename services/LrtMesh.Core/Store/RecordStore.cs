using System.Globalization;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using LrtMesh.Core.Telemetry;
using StackExchange.Redis;

namespace LrtMesh.Core.Store;

/// <summary>Named records of one kind: a description and float32 arrays.</summary>
/// <remarks>
/// A record is a header (a hash) and pieces of payload, all under keys of one hash tag. A write
/// 1. puts its pieces under keys of its own, which expire if the write never ends;
/// 2. in one transaction, if the header is still the one that it read: moves that header to a key of its version, lets it and its pieces expire
///    after a time, puts the new header in its place, keeps the new pieces for good, and deletes the oldest version where there are too many.
/// So a reader sees the old record or the new one whole, and two writers of one name cannot mix. The new header notes the older versions;
/// one that it does not note is not read, whatever lies under its key.
/// </remarks>
/// <typeparam name="TInfo">The description.</typeparam>
/// <typeparam name="TRecord">Description and arrays. What is returned is shared with the cache: not to be changed.</typeparam>
public abstract class RecordStore<TInfo, TRecord>
    where TInfo : class, IMessage<TInfo>, new()
    where TRecord : class
{
    // Each loss of a race means that another write of the same name went through.
    private const int MaxAttempts = 100;
    private static readonly TimeSpan UnfinishedWriteExpires = TimeSpan.FromMinutes(10);

    // Who has read the header of a version just before it expired finds its pieces.
    private static readonly TimeSpan PiecesOutliveHeader = TimeSpan.FromMinutes(1);

    private readonly RedisLink _link;
    private readonly TenantKeys _keys;
    private readonly TimeSpan _keepVersions;
    private readonly NameIndex _index;
    private readonly RecordCache<TRecord> _cache;
    private readonly MessageParser<TInfo> _parser = new(() => new TInfo());

    private protected RecordStore(RedisLink link, TenantKeys keys, string kind, TimeSpan keepVersions, RecordCache<TRecord> cache)
    {
        _link = link;
        _keys = keys;
        _keepVersions = keepVersions;
        Kind = kind;
        _index = new NameIndex(link, keys, kind, Order.Ascending);
        _cache = cache;
    }

    private string Kind { get; }

    private protected abstract TInfo InfoOf(TRecord record);

    private protected abstract string NameOf(TInfo info);

    private protected abstract ulong VersionOf(TInfo info);

    private protected abstract float[][] ArraysOf(TRecord record);

    /// <summary>Elements of each array that the description calls for.</summary>
    private protected abstract ulong[] LengthsOf(TInfo info);

    private protected abstract TRecord Compose(TInfo info, float[][] arrays);

    /// <summary>A record that may be stored, made anew from the one given.</summary>
    private protected abstract TRecord Check(TRecord record);

    private protected abstract void Stamp(TInfo info, ulong version, Timestamp storedAt);

    /// <summary>Stores a record under its name, replacing what is there, which stays readable by its version for a time. When this returns the write is
    /// acknowledged.</summary>
    /// <returns>The record with the version and the time that were set.</returns>
    /// <exception cref="LrtMeshException">InvalidArgument: the name or a size; Unavailable: Redis does not answer, and the write may or may
    /// not have been done; ResourceExhausted: Redis is full; FailedPrecondition: what it would replace is of a newer schema.</exception>
    public async Task<TRecord> PutAsync(TRecord record, CancellationToken ct)
    {
        var given = Check(record);
        var arrays = ArraysOf(given);
        var name = NameOf(InfoOf(given));
        RecordName.Check(name, "name");
        var payload = new Payload(arrays);
        if (payload.Length > Payload.MaxBytes)
        {
            throw LrtMeshException.Invalid("elements", $"have {payload.Length} bytes; the store takes {Payload.MaxBytes} at most");
        }

        await _index.AddAsync(name, ct);
        var write = Guid.NewGuid().ToString("N");
        var pieces = PieceKeys(name, write, Payload.PiecesOf(payload.Length));
        for (var i = 0; i < pieces.Length; i++)
        {
            var piece = payload.ReadPiece(i);
            await _link.RunAsync(What(name), db => db.StringSetAsync(pieces[i], piece, UnfinishedWriteExpires), ct);
        }

        var payloadDigest = payload.Digest();
        for (var attempt = 0; attempt < MaxAttempts; attempt++)
        {
            var before = await FieldsAsync(name, 0, ct);
            var info = InfoOf(given).Clone();
            var version = RecordHeader.NextVersionOf(before);
            Stamp(info, version, Timestamp.FromDateTime(DateTime.UtcNow));
            var header = new RecordHeader(write, version, info.ToByteArray(), payload.Length, payloadDigest, Kept(before));
            if (await CommitAsync(name, before, pieces, header, ct))
            {
                await _index.AddAsync(name, ct);
                await _link.ReplicatedAsync(What(name), [HeaderKey(name), _index.Key], ct);
                var stored = Compose(info, arrays);
                _cache.Set(HeaderKey(name), write, stored, payload.Length);
                return stored;
            }

            await Task.Delay(Random.Shared.Next(1, 20), ct);
        }

        throw new LrtMeshException(ErrorReason.Unavailable, $"{What(name)} is being replaced by too many writers at once");
    }

    /// <summary>Reads a record's newest version.</summary>
    /// <inheritdoc cref="GetAsync(string, ulong, CancellationToken)"/>
    public Task<TRecord> GetAsync(string name, CancellationToken ct) => GetAsync(name, version: 0, ct);

    /// <summary>Reads a record. With Redis gone, the one last read under this name is served from memory.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="version">Its version; 0: the newest.</param>
    /// <param name="ct">Stops the wait.</param>
    /// <exception cref="LrtMeshException">InvalidArgument: the name; NotFound: no such record (field name), or not that version of it any more (field version);
    /// DataLoss: the record is damaged; FailedPrecondition: of a newer schema; Unavailable.</exception>
    public async Task<TRecord> GetAsync(string name, ulong version, CancellationToken ct)
    {
        RecordName.Check(name, "name");
        try
        {
            return await ReadAsync(name, version, ct);
        }
        catch (LrtMeshException e) when (e.Reason == ErrorReason.Unavailable && Held(name, version) is { } cached)
        {
            StoreMetrics.LookedUp(Kind, "stale");
            return cached;
        }
    }

    /// <summary>Lists descriptions by name.</summary>
    /// <param name="prefix">What the names start with; empty for all.</param>
    /// <param name="pageSize">At most this many; 0 means 100, at most 1000.</param>
    /// <param name="pageToken">Token of the page before; empty for the first.</param>
    /// <param name="ct">Stops the wait.</param>
    /// <exception cref="LrtMeshException">InvalidArgument; DataLoss: a record of the page is damaged; Unavailable.</exception>
    public Task<Page<TInfo>> ListAsync(string prefix, int pageSize, string pageToken, CancellationToken ct) =>
        _index.ListAsync(
            prefix,
            pageSize,
            pageToken,
            name => HeaderKey(name),
            async name =>
            {
                var values = await FieldsAsync(name, 0, ct);
                return IsAbsent(values) ? null : InfoFrom(name, 0, HeaderFrom(name, 0, values));
            },
            ct);

    /// <summary>Descriptions of all versions of a record that can be read, newest first.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument: the name; NotFound; DataLoss: one is damaged; FailedPrecondition: of a newer schema; Unavailable.</exception>
    public async Task<IReadOnlyList<TInfo>> VersionsAsync(string name, CancellationToken ct)
    {
        RecordName.Check(name, "name");
        var newest = await FieldsAsync(name, 0, ct);
        if (IsAbsent(newest))
        {
            throw Absent(name);
        }

        var older = await OlderAsync(name, newest, ct);
        return [InfoFrom(name, 0, HeaderFrom(name, 0, newest)), .. older.Select(found => InfoFrom(name, found.Version, HeaderFrom(name, found.Version, found.Values)))];
    }

    /// <summary>Deletes a record, damaged or not, with all its versions.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument: the name; NotFound; Unavailable.</exception>
    public async Task DeleteAsync(string name, CancellationToken ct)
    {
        RecordName.Check(name, "name");
        for (var attempt = 0; attempt < MaxAttempts; attempt++)
        {
            var before = await FieldsAsync(name, 0, ct);
            if (IsAbsent(before))
            {
                _cache.Remove(HeaderKey(name));
                await _index.RemoveAsync(name, HeaderKey(name), ct);
                throw Absent(name);
            }

            if (await CommitAsync(name, before, [], header: null, ct))
            {
                foreach (var version in Known(before))
                {
                    _cache.Remove(VersionKey(name, version.Version));
                }

                _cache.Remove(HeaderKey(name));
                await _index.RemoveAsync(name, HeaderKey(name), ct);
                await _link.ReplicatedAsync(What(name), [HeaderKey(name)], ct);
                return;
            }
        }

        throw new LrtMeshException(ErrorReason.Unavailable, $"{What(name)} is being replaced by too many writers at once");
    }

    /// <summary>What is in memory of a version; 0: of the newest.</summary>
    private TRecord? Held(string name, ulong version) =>
        _cache.Find(HeaderKey(name)) is { } newest && (version == 0 || VersionOf(InfoOf(newest)) == version) ? newest : _cache.Find(KeyOf(name, version));

    private async Task<TRecord> ReadAsync(string name, ulong version, CancellationToken ct)
    {
        string? missed = null;
        for (var attempt = 0; attempt < MaxAttempts; attempt++)
        {
            var values = await FieldsAsync(name, 0, ct);
            if (IsAbsent(values))
            {
                _cache.Remove(HeaderKey(name));
                _cache.Remove(KeyOf(name, version));
                throw Absent(name);
            }

            // The newest has its header elsewhere than the others: below it is 0, by whichever number it was asked for. The newest's own fields need not be
            // sound for an older version to be read.
            var older = version == RecordHeader.VersionOf(values) ? 0 : version;
            if (older != 0)
            {
                values = await OlderAsync(name, values, older, ct);
            }

            var header = HeaderFrom(name, older, values);
            var key = KeyOf(name, older);
            if (_cache.Find(key, header.Write) is { } cached)
            {
                StoreMetrics.LookedUp(Kind, "hit");
                return cached;
            }

            var info = InfoFrom(name, older, header);
            if (await PayloadAsync(name, older, header, LengthsOf(info), ct) is { } arrays)
            {
                var record = Compose(info, arrays);
                StoreMetrics.LookedUp(Kind, "miss");
                _cache.Set(key, header.Write, record, header.Length);
                return record;
            }

            // A piece is missing: another write took it away since the header was read, or it is lost.
            if (missed == header.Write)
            {
                throw Damaged(name, older, "a piece of it is missing");
            }

            missed = header.Write;
        }

        throw new LrtMeshException(ErrorReason.Unavailable, $"{What(name)} is being replaced faster than it can be read");
    }

    private IReadOnlyList<OlderVersion> Noted(string name, RedisValue[] newest) =>
        RecordHeader.OlderOf(newest) ?? throw Damaged(name, 0, "its note of older versions cannot be read");

    /// <summary>The older versions that are there yet, newest first, with the fields of their headers.</summary>
    private async Task<(ulong Version, RedisValue[] Values)[]> OlderAsync(string name, RedisValue[] newest, CancellationToken ct)
    {
        var found = await Task.WhenAll(Noted(name, newest).Reverse().Select(async older => (Noted: older, Values: await FieldsAsync(name, older.Version, ct))));
        return [.. found.Where(version => version.Values[1] == version.Noted.Write).Select(version => (version.Noted.Version, version.Values))];
    }

    /// <summary>The fields of an older version's header.</summary>
    /// <exception cref="LrtMeshException">NotFound: it never was, or is no longer kept.</exception>
    private async Task<RedisValue[]> OlderAsync(string name, RedisValue[] newest, ulong version, CancellationToken ct)
    {
        if (Noted(name, newest).FirstOrDefault(older => older.Version == version) is { } wanted)
        {
            var values = await FieldsAsync(name, version, ct);
            if (values[1] == wanted.Write)
            {
                return values;
            }
        }

        _cache.Remove(VersionKey(name, version));
        var there = string.Concat((await OlderAsync(name, newest, ct)).Select(older => $", {older.Version}"));
        throw LrtMeshException.NotFound("version", $"there is no version {version} of {What(name)} in the store; there is {RecordHeader.VersionOf(newest)}, the newest{there}");
    }

    /// <returns>The arrays; null if a piece is missing.</returns>
    private async Task<float[][]?> PayloadAsync(string name, ulong older, RecordHeader header, ulong[] lengths, CancellationToken ct)
    {
        // Widths are checked against the length, which is bounded, before they take memory.
        if (lengths.Aggregate(UInt128.Zero, (sum, length) => sum + length) * sizeof(float) != (UInt128)header.Length)
        {
            throw Damaged(name, older, $"it has {header.Length} bytes, which do not fit the widths in its description");
        }

        var arrays = Array.ConvertAll(lengths, length => new float[length]);
        var payload = new Payload(arrays);
        var pieces = PieceKeys(name, header.Write, Payload.PiecesOf(header.Length));
        for (var i = 0; i < pieces.Length; i++)
        {
            var length = Payload.LengthOf(header.Length, i);
            // One byte more than there should be, and no more: a longer piece shows without being taken into memory.
            var piece = await _link.RunAsync(What(name), db => db.StringGetRangeAsync(pieces[i], 0, length), ct);
            if (piece.IsNullOrEmpty)
            {
                return null;
            }

            var bytes = (ReadOnlyMemory<byte>)piece;
            if (bytes.Length != length)
            {
                throw Damaged(name, older, $"piece {i} does not have its {length} bytes");
            }

            payload.WritePiece(i, bytes.Span);
        }

        return payload.Digest() == header.PayloadDigest ? arrays : throw Damaged(name, older, "its elements do not match their digest");
    }

    /// <summary>The versions that a header and its note tell of, oldest first, the one that it is of last; none where there is no record.</summary>
    private static OlderVersion[] Known(RedisValue[] values) => IsAbsent(values)
        ? []
        : [.. RecordHeader.OlderOf(values) ?? [], new(RecordHeader.VersionOf(values), (string?)values[1] ?? "", RecordHeader.PiecesOf(values))];

    /// <summary>Those of them that stay when another version comes: not one whose header is damaged.</summary>
    private OlderVersion[] Kept(RedisValue[] before) => _keepVersions == TimeSpan.Zero
        ? []
        : [.. Known(before).SkipLast(RecordHeader.Parse(before, out _) is null ? 1 : 0).TakeLast(OlderVersion.MaxKept)];

    /// <summary>Replaces the header, if it is still the one that was read; what it told of and the new one does not note goes.</summary>
    /// <param name="name">Name of the record.</param>
    /// <param name="before">The header that was read.</param>
    /// <param name="pieces">Pieces of the new version.</param>
    /// <param name="header">The new header; null deletes the record.</param>
    /// <param name="ct">Stops the wait.</param>
    private Task<bool> CommitAsync(
        string name, RedisValue[] before, RedisKey[] pieces, RecordHeader? header, CancellationToken ct) =>
        _link.RunAsync(
            What(name),
            db =>
            {
                var key = HeaderKey(name);
                var write = before[1];
                var transaction = db.CreateTransaction();
                transaction.AddCondition(write.IsNull ? Condition.HashNotExists(key, "write") : Condition.HashEqual(key, "write", write));
                foreach (var piece in pieces)
                {
                    transaction.AddCondition(Condition.KeyExists(piece));
                    _ = transaction.KeyPersistAsync(piece);
                }

                var known = Known(before);
                var kept = header?.Older ?? [];
                if (kept.Count > 0 && kept[^1] == known[^1])
                {
                    var versionKey = VersionKey(name, kept[^1].Version);
                    _ = transaction.KeyRenameAsync(key, versionKey);
                    _ = transaction.KeyExpireAsync(versionKey, _keepVersions);
                    foreach (var piece in PieceKeys(name, kept[^1].Write, kept[^1].Pieces))
                    {
                        _ = transaction.KeyExpireAsync(piece, _keepVersions + PiecesOutliveHeader);
                    }
                }

                _ = header is null ? transaction.KeyDeleteAsync(key) : transaction.HashSetAsync(key, header.Entries());
                RedisKey[] gone = [.. known.Except(kept).SelectMany(version => (RedisKey[])[VersionKey(name, version.Version), .. PieceKeys(name, version.Write, version.Pieces)])];
                if (gone.Length > 0)
                {
                    _ = transaction.KeyDeleteAsync(gone);
                }

                return transaction.ExecuteAsync();
            },
            ct);

    /// <exception cref="LrtMeshException">FailedPrecondition: of a newer schema; Unavailable.</exception>
    private async Task<RedisValue[]> FieldsAsync(string name, ulong older, CancellationToken ct)
    {
        var values = await _link.RunAsync(What(name, older), db => db.HashGetAsync(KeyOf(name, older), RecordHeader.Fields), ct);
        RecordHeader.RefuseNewer(values[0], RecordHeader.Schema, What(name, older));
        return values;
    }

    private RecordHeader HeaderFrom(string name, ulong older, RedisValue[] values) =>
        RecordHeader.Parse(values, out var fault) ?? throw Damaged(name, older, fault!);

    private TInfo InfoFrom(string name, ulong older, RecordHeader header)
    {
        TInfo info;
        try
        {
            info = _parser.ParseFrom(header.Info);
        }
        catch (InvalidProtocolBufferException)
        {
            throw Damaged(name, older, "its description cannot be read");
        }

        return NameOf(info) == name ? info : throw Damaged(name, older, $"it describes another {Kind}, \"{NameOf(info)}\"");
    }

    private static bool IsAbsent(RedisValue[] values) => values.All(value => value.IsNull);

    private string HeaderKey(string name) => $"{_keys.Root}{Kind}:{{{name}}}";

    /// <summary>Where the header of a version lies that is not the newest.</summary>
    private string VersionKey(string name, ulong version) => string.Create(CultureInfo.InvariantCulture, $"{HeaderKey(name)}:v{version}");

    /// <summary>Where the header of an older version lies; of 0: of the newest.</summary>
    private string KeyOf(string name, ulong older) => older == 0 ? HeaderKey(name) : VersionKey(name, older);

    private RedisKey[] PieceKeys(string name, string write, int count) =>
        [.. Enumerable.Range(0, count).Select(i => (RedisKey)string.Create(CultureInfo.InvariantCulture, $"{HeaderKey(name)}:{write}:{i}"))];

    private string What(string name, ulong older = 0) => older == 0 ? $"{Kind} \"{name}\"" : $"version {older} of {Kind} \"{name}\"";

    private LrtMeshException Absent(string name) => LrtMeshException.NotFound("name", $"there is no {What(name)} in the store");

    private LrtMeshException Damaged(string name, ulong older, string why)
    {
        StoreMetrics.FoundDamaged(Kind);
        var mend = older == 0 ? "store it again or delete it" : "use another version";
        return new(ErrorReason.DataLoss, $"{What(name, older)} in the store is damaged: {why}; {mend}");
    }
}
