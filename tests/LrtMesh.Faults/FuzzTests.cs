using System.Buffers.Binary;
using System.Text;
using Google.Protobuf;
using LrtMesh.Core;
using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;
using TorchSharp;
using Xunit;
using Tensor = LrtMesh.V1.Tensor;

namespace LrtMesh.Faults;

/// <summary>Malformed tensors and checkpoints, in this process: each is read, or refused with an error that was meant.</summary>
public sealed class FuzzTests(FaultTable table)
{
    private static readonly ulong[] Extremes = [0, 1, 2, 3, 7, 8, 255, 1 << 16, int.MaxValue, 1UL << 31, uint.MaxValue, 1UL << 40, long.MaxValue, 1UL << 63, ulong.MaxValue];

    private static readonly int Inputs = FaultTable.Size(100_000, 1_000_000); // of the codec, and again of the reader

    [Fact]
    public Task Tensors() => table.RunAsync("malformed tensors (codec, fuzzed)", "what is whole is taken, what is damaged is an LrtMeshException; never another exception", () =>
    {
        var (random, tally) = (new Random(1), new Tally());
        for (var i = 0; i < Inputs; i++)
        {
            var (tensor, state) = Mutated(random);
            tally.Take(state, () => TensorCodec.Decode(tensor, "tensor", 1 << 16));
            if (tensor.Header is not null)
            {
                var chunks = Chunks(random, tensor);
                tally.Take(state == State.Whole && chunks.AreWhole ? State.Whole : State.Unknown, () => Assemble(tensor.Header, chunks.Chunks));
            }
        }

        return Task.FromResult(tally.Outcome());
    });

    [Fact]
    public Task Checkpoints() => table.RunAsync("malformed checkpoints (safetensors reader, fuzzed)", "what is damaged is an LrtMeshException; never another exception", () =>
    {
        NativeTorch.EnsureLoaded();
        const string Memory = "/dev/shm"; // Linux's folder in memory: on a disk each input waits for it
        var (random, tally) = (new Random(2), new Tally());
        var path = Path.Combine(Directory.Exists(Memory) ? Memory : Path.GetTempPath(), $"lrtmesh-fuzz-{Guid.NewGuid():N}.safetensors");
        try
        {
            for (var i = 0; i < Inputs; i++)
            {
                File.WriteAllBytes(path, Mutated(random, Checkpoint(random)));
                tally.Take(State.Unknown, () => ReadAll(path));
            }
        }
        finally
        {
            File.Delete(path);
        }

        return Task.FromResult(tally.Outcome());
    });

    /// <summary>What is known of an input.</summary>
    private enum State
    {
        /// <summary>It may be right by chance.</summary>
        Unknown,

        /// <summary>It must be taken.</summary>
        Whole,

        /// <summary>Its bytes are not those of its checksum: it must be refused.</summary>
        Damaged,
    }

    private static void ReadAll(string path)
    {
        using var file = SafetensorsFile.Open(path);
        foreach (var (name, stored) in file.Tensors)
        {
            using var digest = new ContentDigest();
            file.AddTo(digest, name);
            if (stored.Type.IsFloating)
            {
                using var read = file.Read(name, stored.Shape, torch.ScalarType.Float32);
            }
        }
    }

    private static void Assemble(TensorHeader header, IReadOnlyList<TensorChunk> chunks)
    {
        var assembler = new TensorAssembler([header], "tensors", 1 << 16);
        foreach (var chunk in chunks)
        {
            assembler.Add(chunk, "chunk");
        }

        assembler.Tensor(0, "chunk");
    }

    /// <summary>A tensor with up to three things changed.</summary>
    private static (Tensor Tensor, State State) Mutated(Random random)
    {
        var (rows, width) = (random.Next(1, 9), random.Next(1, 33));
        var dtype = new[] { Dtype.Float32, Dtype.Float16, Dtype.Bfloat16, Dtype.Float64 }[random.Next(4)];
        var data = TensorCodec.Encode([.. Enumerable.Range(0, rows * width).Select(_ => random.NextSingle())], dtype);
        var whole = new Tensor { Header = TensorCodec.Header(dtype, rows, width), Data = UnsafeByteOperations.UnsafeWrap(data), Crc32C = Crc32C.Compute(data) };
        var tensor = whole.Clone();
        for (var changes = random.Next(4); changes > 0; changes--)
        {
            switch (random.Next(8))
            {
                case 0: tensor.Header?.Dtype = (Dtype)random.Next(-3, 12); break;
                case 1: tensor.Header?.ByteLength = Extreme(random); break;
                case 2: tensor.Header?.Shape.Add(Extreme(random)); break;
                case 3: tensor.Header?.Shape.Insert(0, Extreme(random)); break;
                case 4: tensor.Header?.Shape[random.Next(tensor.Header.Shape.Count)] = Extreme(random); break;
                case 5: tensor.Crc32C ^= 1u << random.Next(32); break;
                case 6: tensor.Data = ByteString.CopyFrom(Mutated(random, tensor.Data.ToByteArray())); break;
                default: tensor.Header = null; break;
            }
        }

        if (random.Next(4) == 0)
        {
            // As bytes: what still parses goes on to the codec, as it does in a role.
            try
            {
                tensor = Tensor.Parser.ParseFrom(Mutated(random, tensor.ToByteArray()));
            }
            catch (InvalidProtocolBufferException)
            {
                // A role never sees it.
            }
        }

        return (tensor, tensor.Equals(whole) ? State.Whole : tensor.Crc32C == whole.Crc32C && tensor.Data != whole.Data ? State.Damaged : State.Unknown);
    }

    private static (IReadOnlyList<TensorChunk> Chunks, bool AreWhole) Chunks(Random random, Tensor tensor)
    {
        var bytes = tensor.Data.ToByteArray();
        var chunks = new List<TensorChunk>();
        for (var at = 0; at < bytes.Length;)
        {
            var part = bytes[at..Math.Min(bytes.Length, at + random.Next(1, 200))];
            chunks.Add(new() { Offset = (ulong)at, Crc32C = Crc32C.Compute(part), Data = ByteString.CopyFrom(part) });
            at += part.Length;
        }

        if (chunks.Count == 0 || random.Next(2) == 0)
        {
            return (chunks, true);
        }

        var chunk = chunks[random.Next(chunks.Count)];
        switch (random.Next(5))
        {
            case 0: chunk.Offset += Extreme(random) | 1; break;
            case 1: chunk.Tensor = 1 + (uint)random.Next(); break;
            case 2: chunk.Crc32C ^= 1u << random.Next(32); break;
            case 3: chunks.Remove(chunk); break;
            default: chunks.Add(chunk); break;
        }

        return (chunks, false);
    }

    /// <summary>A file of two tensors that is whole.</summary>
    private static byte[] Checkpoint(Random random)
    {
        var (rows, width) = (random.Next(1, 5), random.Next(1, 9));
        var length = rows * width * 4;
        var header = Encoding.UTF8.GetBytes(
            $$$"""{"__metadata__":{"format":"pt"},"a.weight":{"dtype":"F32","shape":[{{{rows}}},{{{width}}}],"data_offsets":[0,{{{length}}}]},"b":{"dtype":"BF16","shape":[{{{width}}}],"data_offsets":[{{{length}}},{{{length + (width * 2)}}}]}}""");
        var file = new byte[8 + header.Length + length + (width * 2)];
        BinaryPrimitives.WriteUInt64LittleEndian(file, (ulong)header.Length);
        header.CopyTo(file, 8);
        return file;
    }

    /// <summary>Bytes with some flipped, replaced, taken out, put in or cut off, or a number in them that is another.</summary>
    private static byte[] Mutated(Random random, byte[] given)
    {
        var bytes = new List<byte>(given);
        for (var changes = random.Next(1, 5); changes > 0 && bytes.Count > 0; changes--)
        {
            var at = random.Next(bytes.Count);
            switch (random.Next(7))
            {
                case 0: bytes[at] ^= (byte)(1 << random.Next(8)); break;
                case 1: bytes[at] = (byte)random.Next(256); break;
                case 2: bytes.RemoveAt(at); break;
                case 3: bytes.Insert(at, (byte)random.Next(256)); break;
                case 4: bytes.RemoveRange(at, bytes.Count - at); break;
                case 5: bytes.InsertRange(at, bytes.GetRange(at, Math.Min(bytes.Count - at, random.Next(1, 64)))); break;
                default:
                    at = bytes.FindIndex(at, b => b is >= (byte)'0' and <= (byte)'9');
                    if (at >= 0)
                    {
                        bytes.RemoveAt(at);
                        bytes.InsertRange(at, Encoding.ASCII.GetBytes(Extreme(random).ToString(System.Globalization.CultureInfo.InvariantCulture)));
                    }

                    break;
            }
        }

        return [.. bytes];
    }

    private static ulong Extreme(Random random) => Extremes[random.Next(Extremes.Length)];

    /// <summary>How inputs were taken.</summary>
    private sealed class Tally
    {
        private readonly Dictionary<string, int> _other = [];
        private int _read;
        private int _refused;
        private int _wholeRefused;
        private int _damagedTaken;

        /// <summary>Reads an input.</summary>
        /// <param name="state">What is known of it.</param>
        /// <param name="read">Reads it.</param>
        public void Take(State state, Action read)
        {
            try
            {
                read();
                _read++;
                _damagedTaken += state == State.Damaged ? 1 : 0;
            }
            catch (LrtMeshException)
            {
                _refused++;
                _wholeRefused += state == State.Whole ? 1 : 0;
            }
            catch (Exception e)
            {
                var kind = $"{e.GetType().Name} ({e.Message})";
                _other[kind] = _other.GetValueOrDefault(kind) + 1;
            }
        }

        public Outcome Outcome()
        {
            var other = _other.Values.Sum();
            return new(
                _read + _refused + other,
                $"{_read:N0} read, {_refused:N0} refused with LrtMeshException, {other} otherwise{string.Concat(_other.Take(3).Select(kind => $": {kind.Value} {kind.Key}"))}; {_wholeRefused} whole ones refused, {_damagedTaken} taken against their checksum",
                other + _wholeRefused + _damagedTaken,
                other == 0 && _wholeRefused == 0 && _damagedTaken == 0 && _refused > 0 && _read > 0);
        }
    }
}
