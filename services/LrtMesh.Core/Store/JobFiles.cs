using System.Globalization;
using LrtMesh.Core.Telemetry;
using StackExchange.Redis;

namespace LrtMesh.Core.Store;

/// <summary>
/// What belongs to a job beside its record (its request, its moments), as runs of bytes cut into pieces. All of it goes after a
/// time, so that nothing stays of a job that nobody ends.
/// </summary>
/// <remarks>
/// A file is a pointer (a hash) and pieces, under keys of the job's hash tag. A write puts its pieces under keys of its own and
/// then, in one transaction, moves the pointer and deletes the pieces before: a reader finds the old file or the new one whole.
/// </remarks>
public sealed class JobFiles
{
    /// <summary>Name of the file that holds what was asked for.</summary>
    public const string Request = "request";

    /// <summary>Name of the file that holds the moments last saved.</summary>
    public const string Moments = "moments";

    /// <summary>Bytes of a file at most.</summary>
    public const long MaxBytes = 1L << 30;

    private static readonly RedisValue[] Fields = ["write", "length", "digest"];

    private readonly RedisLink _link;
    private readonly TenantKeys _keys;

    internal JobFiles(RedisLink link, TenantKeys keys) => (_link, _keys) = (link, keys);

    /// <summary>Writes a file, replacing what is there.</summary>
    /// <param name="id">The job.</param>
    /// <param name="file">Name of the file.</param>
    /// <param name="content">Its bytes, from here to the end.</param>
    /// <param name="keep">How long it stays.</param>
    /// <param name="worker">Write only if this worker still has the job; null: whoever has it.</param>
    /// <param name="ct">Stops the wait.</param>
    /// <returns>False if the worker has the job no more; the file is as it was.</returns>
    /// <exception cref="LrtMeshException">InvalidArgument: too long; Unavailable; ResourceExhausted: Redis is full.</exception>
    public async Task<bool> WriteAsync(string id, string file, Stream content, TimeSpan keep, string? worker, CancellationToken ct)
    {
        var length = content.Length - content.Position;
        if (length > MaxBytes)
        {
            throw LrtMeshException.Invalid(file, $"has {length} bytes; the store takes {MaxBytes} at most");
        }

        var write = Guid.NewGuid().ToString("N");
        using var digest = new ContentDigest();
        for (var i = 0; i < Payload.PiecesOf(length); i++)
        {
            var piece = new byte[Payload.LengthOf(length, i)];
            await content.ReadExactlyAsync(piece, ct);
            digest.AddBytes(piece);
            var key = PieceKey(id, file, write, i);
            await _link.RunAsync(What(id, file), db => db.StringSetAsync(key, piece, keep), ct);
        }

        var before = await PointerAsync(id, file, ct);
        var written = await _link.RunAsync(
            What(id, file),
            db =>
            {
                var transaction = db.CreateTransaction();
                if (worker is not null)
                {
                    transaction.AddCondition(Condition.StringEqual(OpenJobs.LeaseKey(_keys, id), worker));
                }

                _ = transaction.HashSetAsync(PointerKey(id, file), [new("write", write), new("length", length), new("digest", digest.Finish())]);
                _ = transaction.KeyExpireAsync(PointerKey(id, file), keep);
                if (before is not null)
                {
                    _ = transaction.KeyDeleteAsync(PieceKeys(id, file, before));
                }

                return transaction.ExecuteAsync();
            },
            ct);
        if (written)
        {
            await _link.ReplicatedAsync(What(id, file), [PointerKey(id, file)], ct);
        }

        return written;
    }

    /// <summary>Reads a file into a temporary one, which goes when it is closed.</summary>
    /// <returns>A stream at its start; null if there is no such file.</returns>
    /// <exception cref="LrtMeshException">DataLoss: a piece is missing or does not fit; Unavailable.</exception>
    public async Task<Stream?> ReadAsync(string id, string file, CancellationToken ct)
    {
        if (await PointerAsync(id, file, ct) is not { } pointer)
        {
            return null;
        }

        var content = TemporaryFile();
        try
        {
            using var digest = new ContentDigest();
            for (var i = 0; i < Payload.PiecesOf(pointer.Length); i++)
            {
                var key = PieceKey(id, file, pointer.Write, i);
                var piece = (byte[]?)await _link.RunAsync(What(id, file), db => db.StringGetAsync(key), ct) ?? [];
                if (piece.Length != Payload.LengthOf(pointer.Length, i))
                {
                    throw Damaged(id, file, $"piece {i} is missing or does not have its length");
                }

                digest.AddBytes(piece);
                await content.WriteAsync(piece, ct);
            }

            if (digest.Finish() != pointer.Digest)
            {
                throw Damaged(id, file, "it does not match its digest");
            }

            content.Position = 0;
            return content;
        }
        catch
        {
            await content.DisposeAsync();
            throw;
        }
    }

    /// <summary>Deletes a file; one that is not there is no error.</summary>
    /// <exception cref="LrtMeshException">Unavailable.</exception>
    public async Task DeleteAsync(string id, string file, CancellationToken ct)
    {
        if (await PointerAsync(id, file, ct) is { } pointer)
        {
            await _link.RunAsync(What(id, file), db => db.KeyDeleteAsync([PointerKey(id, file), .. PieceKeys(id, file, pointer)]), ct);
        }
    }

    /// <summary>A file that goes when it is closed: moments pass through the disk, so that they take memory once.</summary>
    public static FileStream TemporaryFile() => new(
        Path.Combine(Path.GetTempPath(), $"lrtmesh-{Guid.NewGuid():N}"),
        new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.ReadWrite, Options = FileOptions.DeleteOnClose | FileOptions.Asynchronous });

    private async Task<Pointer?> PointerAsync(string id, string file, CancellationToken ct)
    {
        var values = await _link.RunAsync(What(id, file), db => db.HashGetAsync(PointerKey(id, file), Fields), ct);
        return values[0].IsNull ? null
            : values[1].TryParse(out long length) && length is >= 0 and <= MaxBytes ? new Pointer(values[0]!, length, values[2]!)
            : throw Damaged(id, file, "its length cannot be read");
    }

    private RedisKey PointerKey(string id, string file) => $"{_keys.Root}job:{{{id}}}:{file}";

    private RedisKey PieceKey(string id, string file, string write, int piece) =>
        string.Create(CultureInfo.InvariantCulture, $"{_keys.Root}job:{{{id}}}:{file}:{write}:{piece}");

    private RedisKey[] PieceKeys(string id, string file, Pointer pointer) =>
        [.. Enumerable.Range(0, Payload.PiecesOf(pointer.Length)).Select(i => PieceKey(id, file, pointer.Write, i))];

    private static string What(string id, string file) => $"{file} of job \"{id}\"";

    private static LrtMeshException Damaged(string id, string file, string why)
    {
        StoreMetrics.FoundDamaged("job");
        return new(ErrorReason.DataLoss, $"{What(id, file)} in the store is damaged: {why}");
    }

    private sealed record Pointer(string Write, long Length, string Digest);
}
