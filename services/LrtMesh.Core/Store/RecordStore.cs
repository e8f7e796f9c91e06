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
/// 2. in one transaction, if the header is still the one that it read: replaces the header, keeps its pieces for good and deletes those
///    of the version before.
/// So a reader sees the old record or the new one whole, and two writers of one name cannot mix.
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

    private readonly RedisLink _link;
    private readonly TenantKeys _keys;
    private readonly NameIndex _index;
    private readonly RecordCache<TRecord> _cache;
    private readonly MessageParser<TInfo> _parser = new(() => new TInfo());

    private protected RecordStore(RedisLink link, TenantKeys keys, string kind, RecordCache<TRecord> cache)
    {
        _link = link;
        _keys = keys;
        Kind = kind;
        _index = new NameIndex(link, keys, kind, Order.Ascending);
        _cache = cache;
    }

    private string Kind { get; }

    private protected abstract TInfo InfoOf(TRecord record);

    private protected abstract string NameOf(TInfo info);

    private protected abstract float[][] ArraysOf(TRecord record);

    /// <summary>Elements of each array that the description calls for.</summary>
    private protected abstract ulong[] LengthsOf(TInfo info);

    private protected abstract TRecord Compose(TInfo info, float[][] arrays);

    /// <summary>A record that may be stored, made anew from the one given.</summary>
    private protected abstract TRecord Check(TRecord record);

    private protected abstract void Stamp(TInfo info, ulong version, Timestamp storedAt);

    /// <summary>Stores a record under its name, replacing what is there. When this returns the write is acknowledged.</summary>
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
            var before = await FieldsAsync(name, ct);
            var info = InfoOf(given).Clone();
            var version = RecordHeader.VersionOf(before) + 1;
            Stamp(info, version, Timestamp.FromDateTime(DateTime.UtcNow));
            var header = new RecordHeader(write, version, info.ToByteArray(), payload.Length, payloadDigest);
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

    /// <summary>Reads a record. With Redis gone, the one last read under this name is served from memory.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument: the name; NotFound; DataLoss: the record is damaged; FailedPrecondition: of a newer schema; Unavailable.</exception>
    public async Task<TRecord> GetAsync(string name, CancellationToken ct)
    {
        RecordName.Check(name, "name");
        try
        {
            return await ReadAsync(name, ct);
        }
        catch (LrtMeshException e) when (e.Reason == ErrorReason.Unavailable && _cache.Find(HeaderKey(name)) is { } cached)
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
                var values = await FieldsAsync(name, ct);
                return IsAbsent(values) ? null : InfoFrom(name, HeaderFrom(name, values));
            },
            ct);

    /// <summary>Deletes a record, damaged or not.</summary>
    /// <exception cref="LrtMeshException">InvalidArgument: the name; NotFound; Unavailable.</exception>
    public async Task DeleteAsync(string name, CancellationToken ct)
    {
        RecordName.Check(name, "name");
        for (var attempt = 0; attempt < MaxAttempts; attempt++)
        {
            var before = await FieldsAsync(name, ct);
            if (IsAbsent(before))
            {
                _cache.Remove(HeaderKey(name));
                await _index.RemoveAsync(name, HeaderKey(name), ct);
                throw Absent(name);
            }

            if (await CommitAsync(name, before, [], header: null, ct))
            {
                _cache.Remove(HeaderKey(name));
                await _index.RemoveAsync(name, HeaderKey(name), ct);
                await _link.ReplicatedAsync(What(name), [HeaderKey(name)], ct);
                return;
            }
        }

        throw new LrtMeshException(ErrorReason.Unavailable, $"{What(name)} is being replaced by too many writers at once");
    }

    private async Task<TRecord> ReadAsync(string name, CancellationToken ct)
    {
        string? missed = null;
        for (var attempt = 0; attempt < MaxAttempts; attempt++)
        {
            var values = await FieldsAsync(name, ct);
            if (IsAbsent(values))
            {
                _cache.Remove(HeaderKey(name));
                throw Absent(name);
            }

            var header = HeaderFrom(name, values);
            if (_cache.Find(HeaderKey(name), header.Write) is { } cached)
            {
                StoreMetrics.LookedUp(Kind, "hit");
                return cached;
            }

            var info = InfoFrom(name, header);
            if (await PayloadAsync(name, header, LengthsOf(info), ct) is { } arrays)
            {
                var record = Compose(info, arrays);
                StoreMetrics.LookedUp(Kind, "miss");
                _cache.Set(HeaderKey(name), header.Write, record, header.Length);
                return record;
            }

            // A piece is missing: another write took it away since the header was read, or it is lost.
            if (missed == header.Write)
            {
                throw Damaged(name, "a piece of it is missing");
            }

            missed = header.Write;
        }

        throw new LrtMeshException(ErrorReason.Unavailable, $"{What(name)} is being replaced faster than it can be read");
    }

    /// <returns>The arrays; null if a piece is missing.</returns>
    private async Task<float[][]?> PayloadAsync(string name, RecordHeader header, ulong[] lengths, CancellationToken ct)
    {
        // Widths are checked against the length, which is bounded, before they take memory.
        if (lengths.Aggregate(UInt128.Zero, (sum, length) => sum + length) * sizeof(float) != (UInt128)header.Length)
        {
            throw Damaged(name, $"it has {header.Length} bytes, which do not fit the widths in its description");
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
                throw Damaged(name, $"piece {i} does not have its {length} bytes");
            }

            payload.WritePiece(i, bytes.Span);
        }

        return payload.Digest() == header.PayloadDigest ? arrays : throw Damaged(name, "its elements do not match their digest");
    }

    /// <summary>Replaces the header and what belongs to it, if it is still the one that was read.</summary>
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

                _ = header is null ? transaction.KeyDeleteAsync(key) : transaction.HashSetAsync(key, header.Entries());
                var replaced = PieceKeys(name, (string?)write ?? "", RecordHeader.PiecesOf(before));
                if (replaced.Length > 0)
                {
                    _ = transaction.KeyDeleteAsync(replaced);
                }

                return transaction.ExecuteAsync();
            },
            ct);

    /// <exception cref="LrtMeshException">FailedPrecondition: of a newer schema; Unavailable.</exception>
    private async Task<RedisValue[]> FieldsAsync(string name, CancellationToken ct)
    {
        var values = await _link.RunAsync(What(name), db => db.HashGetAsync(HeaderKey(name), RecordHeader.Fields), ct);
        RecordHeader.RefuseNewer(values[0], RecordHeader.Schema, What(name));
        return values;
    }

    private RecordHeader HeaderFrom(string name, RedisValue[] values) =>
        RecordHeader.Parse(values, out var fault) ?? throw Damaged(name, fault!);

    private TInfo InfoFrom(string name, RecordHeader header)
    {
        TInfo info;
        try
        {
            info = _parser.ParseFrom(header.Info);
        }
        catch (InvalidProtocolBufferException)
        {
            throw Damaged(name, "its description cannot be read");
        }

        return NameOf(info) == name ? info : throw Damaged(name, $"it describes another {Kind}, \"{NameOf(info)}\"");
    }

    private static bool IsAbsent(RedisValue[] values) => values.All(value => value.IsNull);

    private string HeaderKey(string name) => $"{_keys.Root}{Kind}:{{{name}}}";

    private RedisKey[] PieceKeys(string name, string write, int count) =>
        [.. Enumerable.Range(0, count).Select(i => (RedisKey)string.Create(CultureInfo.InvariantCulture, $"{_keys.Root}{Kind}:{{{name}}}:{write}:{i}"))];

    private string What(string name) => $"{Kind} \"{name}\"";

    private LrtMeshException Absent(string name) => LrtMeshException.NotFound("name", $"there is no {What(name)} in the store");

    private LrtMeshException Damaged(string name, string why)
    {
        StoreMetrics.FoundDamaged(Kind);
        return new(ErrorReason.DataLoss, $"{What(name)} in the store is damaged: {why}; store it again or delete it");
    }
}
