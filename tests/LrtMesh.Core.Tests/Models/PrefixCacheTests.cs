using CsCheck;
using LrtMesh.Core.Models;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Models;

/// <summary>The radix tree of prompts: what it gives back is what was put in, within its budget.</summary>
[Collection(CheckpointsRunAlone.Name)]
public sealed class PrefixCacheTests : IDisposable
{
    private const int Capacity = 32;
    private static readonly ModelConfig Config = new()
    {
        Family = "llama", Vocabulary = 8, Width = 4, Layers = 2, Heads = 2, KvHeads = 1, HeadWidth = 2, MlpWidth = 4,
        NormEpsilon = 1e-6, RopeTheta = 10000, Context = Capacity, TiedHead = false, EndOfSequence = [],
    };

    private static readonly long BytesPerToken = KvCache.BytesPerToken(Config, sizeof(float));

    private readonly long _before = Tensor.TotalCount;
    private readonly KvCache _cache = new(Config, slots: 2, Capacity, ScalarType.Float32);

    public void Dispose()
    {
        _cache.Dispose();
        Assert.InRange(Tensor.TotalCount, 0, _before);
    }

    [Fact]
    public void A_prompt_is_found_up_to_where_another_leaves_it()
    {
        using var prefixes = new PrefixCache(BytesPerToken, 1000 * BytesPerToken);
        Insert(prefixes, [1, 2, 3, 4]);
        Insert(prefixes, [1, 2, 5]);
        Assert.Equal(4, prefixes.Match(Plain([1, 2, 3, 4, 6])));
        Assert.Equal(3, prefixes.Match(Plain([1, 2, 5, 3])));
        Assert.Equal(2, prefixes.Match(Plain([1, 2, 7])));
        Assert.Equal(0, prefixes.Match(Plain([2, 3])));
        Assert.Equal(5 * BytesPerToken, prefixes.Bytes); // 1 2 are held once
    }

    [Fact]
    public void A_steered_prefix_is_found_by_its_like_alone()
    {
        using var prefixes = new PrefixCache(BytesPerToken, 1000 * BytesPerToken);
        PrefixToken[] steered = [new(1, 0), new(2, 77), new(3, 77)];
        Fill(steered);
        prefixes.Insert(steered, [[], [0.5f], [0.25f]], _cache, 0);
        Assert.Equal(1, prefixes.Match(Plain([1, 2, 3])));
        Assert.Equal(1, prefixes.Match([new(1, 0), new(2, 78), new(3, 77)]));
        Assert.Equal([[], [0.5f], [0.25f]], prefixes.Restore(steered, _cache, 1));
    }

    [Fact]
    public void What_was_not_used_for_longest_goes_first()
    {
        using var prefixes = new PrefixCache(BytesPerToken, 8 * BytesPerToken);
        Insert(prefixes, [1, 1, 1, 1]);
        Insert(prefixes, [2, 2, 2, 2]);
        prefixes.Restore(Plain([1, 1, 1, 1]), _cache, 1);
        Insert(prefixes, [3, 3, 3, 3]);
        Assert.Equal(4, prefixes.Match(Plain([1, 1, 1, 1])));
        Assert.Equal(0, prefixes.Match(Plain([2, 2, 2, 2])));
        Insert(prefixes, [4, 4, 4, 4, 4, 4, 4, 4, 4]); // larger than all there is
        Assert.Equal(0, prefixes.Match(Plain([4])));
        Assert.InRange(prefixes.Bytes, 0, 8 * BytesPerToken);
    }

    /// <summary>Many prompts over few tokens, so that nodes are cut, grown and dropped, beside a list of what may be held.</summary>
    [Fact]
    public void Whatever_is_held_is_what_was_read() => Gen.Int[0, 2].Array[1, 12].Array[1, 40].Sample(prompts =>
    {
        using var scope = NewDisposeScope();
        using var prefixes = new PrefixCache(BytesPerToken, 30 * BytesPerToken);
        var seen = new List<int[]>();
        foreach (var prompt in prompts)
        {
            var tokens = Plain(prompt);
            var held = prefixes.Match(tokens);
            Assert.True(held == 0 || seen.Any(other => other.AsSpan().CommonPrefixLength(prompt) >= held));
            _cache.Keys[0].zero_().Dispose();
            Assert.Equal(held, prefixes.Restore(tokens, _cache, 1).Count);
            for (var position = 0; position < held; position++)
            {
                Assert.Equal(Value(tokens, position, 0), _cache.Keys[0][1, position, 0, 0].item<float>());
                Assert.Equal(Value(tokens, position, 3), _cache.Values[1][1, position, 0, 1].item<float>());
            }

            Insert(prefixes, prompt);
            Assert.Equal(prompt.Length, prefixes.Match(tokens));
            Assert.InRange(prefixes.Bytes, 0, 30 * BytesPerToken);
            seen.Add(prompt);
        }
    }, iter: 100, threads: 1);

    private static PrefixToken[] Plain(int[] ids) => [.. ids.Select(id => new PrefixToken(id, 0))];

    private void Insert(PrefixCache prefixes, int[] ids)
    {
        Fill(Plain(ids));
        prefixes.Insert(Plain(ids), [.. ids.Select(_ => Array.Empty<float>())], _cache, 0);
    }

    /// <summary>Writes keys and values into slot 0 that only this prefix has.</summary>
    private void Fill(PrefixToken[] prompt)
    {
        using var scope = NewDisposeScope();
        for (var position = 0; position < prompt.Length; position++)
        {
            for (var layer = 0; layer < Config.Layers; layer++)
            {
                _cache.Keys[layer][0, position].fill_(Value(prompt, position, 2 * layer));
                _cache.Values[layer][0, position].fill_(Value(prompt, position, (2 * layer) + 1));
            }
        }
    }

    private static float Value(PrefixToken[] prompt, int position, int part) =>
        (prompt.Take(position + 1).Aggregate(17, (hash, token) => unchecked((hash * 31) + token.Id)) % 100_000) + part;
}
