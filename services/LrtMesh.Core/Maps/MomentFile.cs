using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace LrtMesh.Core.Maps;

/// <summary>
/// Gathered moments as safetensors bytes: all that an accumulator holds, rows that wait for a full block included, so that what
/// is loaded goes on bit for bit as what was saved would have.
/// </summary>
/// <remarks>
/// Of each Σzzᵀ the upper triangle is kept. The header's metadata says layers, pairs, folds and counts, the caller's own texts
/// (with the prefix <c>job.</c>) and a digest over all of it and the elements. A header that differs from what its metadata
/// leads to, or a digest that does not fit, is refused as damage.
/// </remarks>
public static class MomentFile
{
    private const string Format = "lrtmesh.moments.1";
    private const string JobPrefix = "job.";
    private const int MostHeaderBytes = 100 << 20; // the format's own limit

    /// <summary>A stretch of elements in memory, as bytes.</summary>
    private delegate Span<byte> Piece();

    /// <summary>At most so many bytes for moments of these layers, without the header; counted without overflow.</summary>
    public static long MostBytes(MomentLayout layout, int folds, bool shuffled, int sampleRows = HeldOutSample.DefaultCapacity)
    {
        Int128 width = layout.Width;
        var triangles = layout.Widths.Aggregate((Int128)0, (sum, d) => sum + ((Int128)d * (d + 1) / 2));
        var crosses = layout.Pairs.Aggregate((Int128)0, (sum, p) => sum + ((Int128)layout.Widths[p.X] * layout.Widths[p.Y]));
        var pairs = layout.Pairs.Aggregate((Int128)0, (sum, p) => sum + layout.Widths[p.X] + layout.Widths[p.Y]);
        var fold = ((triangles + crosses + width) * sizeof(double)) + (MomentAccumulator.BlockRows * width * sizeof(float));
        var control = shuffled
            ? ((crosses + pairs) * sizeof(double)) + (ShuffledMoments.PendingRows * ((width * sizeof(float)) + sizeof(long)))
            : 0;
        return (long)Int128.Min(
            long.MaxValue, (folds * fold) + control + (width * sizeof(float)) + (sampleRows * ((width * sizeof(float)) + sizeof(ulong))));
    }

    /// <summary>Writes what an accumulator holds, and leaves it as it is.</summary>
    /// <param name="stream">Where to.</param>
    /// <param name="moments">What to save.</param>
    /// <param name="job">The caller's own texts, such as how far it has read.</param>
    /// <returns>The digest.</returns>
    public static string Save(Stream stream, MomentAccumulator moments, IReadOnlyDictionary<string, string> job)
    {
        var contents = new Contents(moments);
        var metadata = new SortedDictionary<string, string>(contents.Metadata(), StringComparer.Ordinal);
        foreach (var (key, value) in job)
        {
            metadata.Add(JobPrefix + key, value);
        }

        var parts = contents.Parts();
        using var digest = Begin(metadata);
        foreach (var piece in parts.SelectMany(part => part.Pieces))
        {
            digest.AddBytes(piece());
        }

        var name = digest.Finish();
        stream.Write(Header(metadata, name, parts));
        foreach (var piece in parts.SelectMany(part => part.Pieces))
        {
            stream.Write(piece());
        }

        return name;
    }

    /// <summary>Reads what was saved.</summary>
    /// <param name="stream">From where; its length is checked against the header before memory is taken.</param>
    /// <returns>The accumulator, the caller's own texts and the digest.</returns>
    /// <exception cref="LrtMeshException">DataLoss: not such a file, cut off, or damaged.</exception>
    public static (MomentAccumulator Moments, IReadOnlyDictionary<string, string> Job, string Digest) Load(Stream stream)
    {
        try
        {
            return LoadChecked(stream);
        }
        catch (Exception e) when (e is EndOfStreamException or JsonException or FormatException or OverflowException or KeyNotFoundException
            or InvalidOperationException or ArgumentException or IndexOutOfRangeException)
        {
            throw Damaged($"is cut off or has no such header ({e.Message})");
        }
    }

    private static (MomentAccumulator Moments, IReadOnlyDictionary<string, string> Job, string Digest) LoadChecked(Stream stream)
    {
        var start = stream.Position;
        Span<byte> prefix = stackalloc byte[8];
        stream.ReadExactly(prefix);
        var length = BinaryPrimitives.ReadInt64LittleEndian(prefix);
        if (length < 2 || length > Math.Min(MostHeaderBytes, stream.Length - stream.Position))
        {
            throw Damaged($"has a header of {length} bytes, which does not fit");
        }

        var header = new byte[8 + length];
        prefix.CopyTo(header);
        stream.ReadExactly(header.AsSpan(8));
        using var document = JsonDocument.Parse(header.AsMemory(8));
        var metadata = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (var property in document.RootElement.GetProperty("__metadata__").EnumerateObject())
        {
            metadata.Add(property.Name, property.Value.GetString()!);
        }

        if (metadata.GetValueOrDefault("format") != Format)
        {
            throw Damaged($"has format '{metadata.GetValueOrDefault("format")}', not {Format}");
        }

        metadata.Remove("digest", out var digest);
        var contents = Contents.Of(metadata, stream.Length - stream.Position);
        var parts = contents.Parts();
        if (!header.AsSpan().SequenceEqual(Header(metadata, digest!, parts)))
        {
            throw Damaged("has a header whose tensors are not those of its metadata");
        }

        using var actual = Begin(metadata);
        foreach (var piece in parts.SelectMany(part => part.Pieces))
        {
            stream.ReadExactly(piece());
            actual.AddBytes(piece());
        }

        if (actual.Finish() != digest || stream.Position != stream.Length)
        {
            throw Damaged($"does not have the {stream.Length - start} bytes that its digest {digest} was made of");
        }

        var job = metadata.Where(m => m.Key.StartsWith(JobPrefix, StringComparison.Ordinal))
            .ToDictionary(m => m.Key[JobPrefix.Length..], m => m.Value, StringComparer.Ordinal);
        return (contents.Restore(), job, digest!);
    }

    private static ContentDigest Begin(SortedDictionary<string, string> metadata)
    {
        var digest = new ContentDigest();
        foreach (var (key, value) in metadata)
        {
            digest.Add(key).Add(value);
        }

        return digest;
    }

    private static byte[] Header(SortedDictionary<string, string> metadata, string digest, List<Part> parts)
    {
        using var bytes = new MemoryStream();
        bytes.Write(stackalloc byte[8]);
        using (var json = new Utf8JsonWriter(bytes))
        {
            json.WriteStartObject();
            json.WriteStartObject("__metadata__");
            json.WriteString("digest", digest);
            foreach (var (key, value) in metadata)
            {
                json.WriteString(key, value);
            }

            json.WriteEndObject();
            var offset = 0L;
            foreach (var part in parts)
            {
                json.WriteStartObject(part.Name);
                json.WriteString("dtype", part.Type);
                json.WriteStartArray("shape");
                foreach (var dimension in part.Shape)
                {
                    json.WriteNumberValue(dimension);
                }

                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                json.WriteNumberValue(offset += part.Bytes);
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        // Spaces round the header up, so that the tensors start at a multiple of 8.
        bytes.Write("       "u8[..(int)((8 - (bytes.Length % 8)) % 8)]);
        var header = bytes.ToArray();
        BinaryPrimitives.WriteInt64LittleEndian(header, header.Length - 8);
        return header;
    }

    private static LrtMeshException Damaged(string what) => new(ErrorReason.DataLoss, $"moments: the record {what}");

    private sealed record Part(string Name, string Type, long[] Shape, IEnumerable<Piece> Pieces)
    {
        public long Bytes => Shape.Aggregate(Type == "F32" ? 4L : 8L, (product, d) => checked(product * d));

        /// <summary>A matrix, a piece a row, so that none is too long for a span of bytes.</summary>
        public static Part Of<T>(string name, T[] values, long rows, int columns)
            where T : struct => new(
            name,
            typeof(T) == typeof(double) ? "F64" : typeof(T) == typeof(float) ? "F32" : "I64",
            [rows, columns],
            Enumerable.Range(0, (int)rows).Select(row => new Piece(() => MemoryMarshal.AsBytes(values.AsSpan((int)(row * (long)columns), columns)))));

        /// <summary>The upper triangle of a square matrix, row by row.</summary>
        public static Part Triangle(string name, double[] values, int width) => new(
            name,
            "F64",
            [(long)width * (width + 1) / 2],
            Enumerable.Range(0, width).Select(row => new Piece(() =>
                MemoryMarshal.AsBytes(values.AsSpan((int)((row * (long)width) + row), width - row)))));
    }

    /// <summary>An accumulator with the arrays that are saved with it.</summary>
    private sealed class Contents
    {
        private readonly MomentAccumulator _moments;
        private readonly float[][] _sample; // of each layer [rows, d]
        private readonly ulong[] _priorities;
        private readonly long[] _starts; // of the control's waiting documents
        private readonly ulong _seen;

        public Contents(MomentAccumulator moments)
        {
            _moments = moments;
            _priorities = moments.Sample.Priorities();
            _sample = [.. moments.Layout.Widths.Select((_, i) => moments.Sample.Layer(i).ToArray())];
            _seen = moments.Sample.Seen;
            _starts = [.. moments.ControlSums?.Starts.Select(s => (long)s) ?? []];
        }

        private Contents(MomentAccumulator moments, int sampled, ulong seen, int documents)
        {
            _moments = moments;
            _priorities = new ulong[sampled];
            _sample = [.. moments.Layout.Widths.Select(width => new float[sampled * width])];
            _seen = seen;
            _starts = new long[documents];
        }

        /// <summary>Arrays for what metadata describes.</summary>
        /// <param name="metadata">As <see cref="Metadata"/> wrote it.</param>
        /// <param name="available">Bytes that follow the header.</param>
        public static Contents Of(SortedDictionary<string, string> metadata, long available)
        {
            var layout = new MomentLayout([.. Numbers("widths").Select(n => (int)n)], [.. Numbers("pairs").Chunk(2).Select(p => ((int)p[0], (int)p[1]))]);
            var (waiting, foldRows, control) = (Numbers("waiting_rows"), Numbers("fold_rows"), Numbers("control"));
            var (shuffled, begun) = (metadata["shuffled"] == "true", metadata["begun"] == "true");
            var triangles = layout.Widths.Aggregate((Int128)0, (sum, d) => sum + ((Int128)d * d / 2));
            if (waiting.Length < 3 || foldRows.Length != waiting.Length || waiting.Any(r => r < 0 || r >= MomentAccumulator.BlockRows)
                || control is not [>= 0, >= 0 and <= ShuffledMoments.BlockRows, >= 0 and <= ShuffledMoments.BlockRows]
                || (begun && triangles * sizeof(double) * waiting.Length > available) || Numbers("sampled")[0] * layout.Width * sizeof(float) > available)
            {
                throw Damaged("has metadata that do not fit its length");
            }

            var needed = MomentAccumulator.BytesNeeded(layout, waiting.Length, shuffled, (int)Numbers("sample_rows")[0]);
            if (needed > GC.GetGCMemoryInfo().TotalAvailableMemoryBytes)
            {
                throw new LrtMeshException(ErrorReason.ResourceExhausted, $"moments: the record takes {needed >> 20} MiB, more than there is here");
            }

            var moments = new MomentAccumulator(layout, waiting.Length, shuffled, (int)Numbers("sample_rows")[0])
            {
                Rows = Numbers("rows")[0],
                RefusedRows = Numbers("refused_rows")[0],
            };
            if (begun)
            {
                moments.Begin(new float[layout.Width]);
                for (var fold = 0; fold < waiting.Length; fold++)
                {
                    moments.Sums![fold].Rows = foldRows[fold];
                    moments.WaitingRows[fold] = (int)waiting[fold];
                }

                if (moments.ControlSums is { } sums)
                {
                    sums.WaitingRows = (int)control[1];
                    sums.Random = ulong.Parse(metadata["control_random"], CultureInfo.InvariantCulture);
                    Array.ForEach(sums.Moments, m => m.Rows = control[0]);
                }
            }

            return new Contents(moments, (int)Numbers("sampled")[0], (ulong)Numbers("seen")[0], (int)control[2]);

            long[] Numbers(string key) =>
                [.. metadata[key].Split(',', StringSplitOptions.RemoveEmptyEntries).Select(n => long.Parse(n, CultureInfo.InvariantCulture))];
        }

        public Dictionary<string, string> Metadata()
        {
            var control = _moments.ControlSums;
            return new Dictionary<string, string>(StringComparer.Ordinal)
            {
                ["format"] = Format,
                ["widths"] = Text(_moments.Layout.Widths.Select(w => (long)w)),
                ["pairs"] = Text(_moments.Layout.Pairs.SelectMany(p => new long[] { p.X, p.Y })),
                ["shuffled"] = _moments.Shuffled ? "true" : "false",
                ["begun"] = _moments.Sums is null ? "false" : "true",
                ["rows"] = Text([_moments.Rows]),
                ["refused_rows"] = Text([_moments.RefusedRows]),
                ["fold_rows"] = Text(_moments.WaitingRows.Select((_, fold) => _moments.Sums?[fold].Rows ?? 0)),
                ["waiting_rows"] = Text(_moments.WaitingRows.Select(r => (long)r)),
                ["sample_rows"] = Text([_moments.SampleRows]),
                ["sampled"] = Text([_priorities.Length]),
                ["seen"] = Text([(long)_seen]),
                ["control"] = Text([control?.Moments[0].Rows ?? 0, control?.WaitingRows ?? 0, _starts.Length]),
                ["control_random"] = (control?.Random ?? 0).ToString(CultureInfo.InvariantCulture),
            };

            static string Text(IEnumerable<long> numbers) => string.Join(',', numbers.Select(n => n.ToString(CultureInfo.InvariantCulture)));
        }

        public List<Part> Parts()
        {
            if (_moments.Sums is null)
            {
                return [];
            }

            var layout = _moments.Layout;
            var parts = new List<Part>();
            for (var fold = 0; fold < _moments.Folds; fold++)
            {
                var sums = _moments.Sums[fold];
                for (var i = 0; i < layout.Widths.Count; i++)
                {
                    parts.Add(Part.Of($"fold.{fold}.sum.{i}", sums.Sum(i), 1, layout.Widths[i]));
                    parts.Add(Part.Triangle($"fold.{fold}.square.{i}", sums.Upper(i), layout.Widths[i]));
                }

                for (var p = 0; p < layout.Pairs.Count; p++)
                {
                    parts.Add(Part.Of($"fold.{fold}.cross.{p}", sums.Cross(p), layout.Widths[layout.Pairs[p].X], layout.Widths[layout.Pairs[p].Y]));
                }
            }

            if (_moments.ControlSums is { } control)
            {
                for (var p = 0; p < layout.Pairs.Count; p++)
                {
                    var m = control.Moments[p];
                    parts.Add(Part.Of($"control.sum_x.{p}", m.SumX, 1, m.SumX.Length));
                    parts.Add(Part.Of($"control.sum_y.{p}", m.SumY, 1, m.SumY.Length));
                    parts.Add(Part.Of($"control.cross.{p}", m.Xy, m.SumX.Length, m.SumY.Length));
                }

                parts.Add(Part.Of("control.starts", _starts, 1, _starts.Length));
            }

            parts.Add(Part.Of("sample.priorities", _priorities, 1, _priorities.Length));

            // float32 last, so that every tensor starts at a multiple of its element's size.
            parts.Add(Part.Of("origin", _moments.Origin!, 1, layout.Width));
            for (var fold = 0; fold < _moments.Folds; fold++)
            {
                parts.Add(Part.Of($"fold.{fold}.waiting", _moments.Waiting[fold], _moments.WaitingRows[fold], layout.Width));
            }

            for (var i = 0; i < layout.Widths.Count; i++)
            {
                parts.Add(Part.Of($"sample.{i}", _sample[i], _priorities.Length, layout.Widths[i]));
            }

            if (_moments.ControlSums is { } waiting)
            {
                parts.Add(Part.Of("control.waiting", waiting.Waiting, waiting.WaitingRows, layout.Width));
            }

            return parts;
        }

        /// <summary>The accumulator, once its parts are read.</summary>
        public MomentAccumulator Restore()
        {
            _moments.Sample.Restore(_seen, _priorities, _sample);
            _moments.ControlSums?.Starts.AddRange(_starts.Select(s => (int)s));
            foreach (var sums in _moments.Sums ?? [])
            {
                sums.MoveTo(_moments.Origin);
            }

            _moments.ControlSums?.MoveTo(_moments.Origin);
            return _moments;
        }
    }
}
