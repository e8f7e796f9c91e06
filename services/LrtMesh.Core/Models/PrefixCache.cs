using System.IO.Hashing;
using System.Text;
using static TorchSharp.torch;

namespace LrtMesh.Core.Models;

/// <summary>What decides a position's keys and values, given the positions before it.</summary>
/// <param name="Id">The token.</param>
/// <param name="Steering">Fingerprint of what steers it below the last layer; 0: nothing does.</param>
internal readonly record struct PrefixToken(int Id, UInt128 Steering)
{
    /// <summary>The first token of a tenant's prompt: another one than that of any other tenant, and so is all that comes after it.</summary>
    public PrefixToken Of(string tenant) => tenant.Length == 0 ? this : this with { Steering = Steering ^ XxHash128.HashToUInt128(Encoding.UTF8.GetBytes(tenant)) };
}

/// <summary>
/// Keys and values of prompts that were read, so that a prefix that many prompts share is computed once: a radix tree (as in
/// RadixAttention, Zheng et al. 2023) whose nodes hold runs of positions. A steered position is another token than an unsteered
/// one, so a steered prefix is found by its like alone. What was not used for longest goes first. Lives on the model thread.
/// </summary>
/// <param name="bytesPerToken">Memory of one position's keys and values.</param>
/// <param name="budget">Memory at most, in bytes.</param>
internal sealed class PrefixCache(long bytesPerToken, long budget) : IDisposable
{
    private readonly Node _root = new([], null!, [], null!);
    private readonly LinkedList<Node> _byUse = []; // last used first, and a node before those under it

    /// <summary>Memory that is held, in bytes.</summary>
    public long Bytes { get; private set; }

    /// <summary>Tensors that are held. Any thread.</summary>
    public int Tensors => _byUse.Count;

    /// <summary>How many positions of a prompt are held, from its start on.</summary>
    public int Match(ReadOnlySpan<PrefixToken> prompt) => Path(prompt).Sum(part => part.Length);

    /// <summary>Copies what is held of a prompt into the start of a slot.</summary>
    /// <param name="prompt">The prompt.</param>
    /// <param name="cache">The cache, large enough.</param>
    /// <param name="slot">The slot.</param>
    /// <returns>One entry a position that is held: its changes, as <see cref="Insert"/> took them.</returns>
    public IReadOnlyList<float[]> Restore(ReadOnlySpan<PrefixToken> prompt, KvCache cache, int slot)
    {
        var path = Path(prompt);
        var changes = new List<float[]>();
        foreach (var (node, length) in path)
        {
            cache.Load(node.States, length, slot, changes.Count);
            changes.AddRange(node.Changes.AsSpan(0, length));
        }

        Touch(path.Count > 0 ? path[^1].Node : _root);
        return changes;
    }

    /// <summary>Keeps a prompt that was read, if it fits.</summary>
    /// <param name="prompt">The prompt.</param>
    /// <param name="changes">One entry a position: ‖Δ‖/‖h‖ of each steering in its fingerprint, in their order.</param>
    /// <param name="cache">Where its keys and values are.</param>
    /// <param name="slot">Its slot there.</param>
    public void Insert(ReadOnlySpan<PrefixToken> prompt, IReadOnlyList<float[]> changes, KvCache cache, int slot)
    {
        var path = Path(prompt);
        var held = path.Sum(part => part.Length);
        var added = prompt.Length - held;
        var parent = path.Count > 0 ? path[^1].Node : _root;
        Touch(parent);
        if (added == 0 || !MakeRoom(added * bytesPerToken, parent))
        {
            return;
        }

        if (path.Count > 0 && path[^1].Length < parent.Tokens.Length)
        {
            Split(parent, path[^1].Length);
        }

        var node = new Node(prompt[held..].ToArray(), cache.Save(slot, held, added), [.. changes.Skip(held)], parent);
        parent.Children.Add(node.Tokens[0], node);
        _byUse.AddFirst(node.Use);
        Bytes += added * bytesPerToken;
        Touch(parent);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var node in _byUse)
        {
            node.States.Dispose();
        }
    }

    /// <summary>The nodes that hold a prompt's start, and how much of each does.</summary>
    private List<(Node Node, int Length)> Path(ReadOnlySpan<PrefixToken> prompt)
    {
        var path = new List<(Node, int)>();
        var node = _root;
        while (prompt.Length > 0 && node.Children.TryGetValue(prompt[0], out var child))
        {
            var length = child.Tokens.AsSpan().CommonPrefixLength(prompt);
            path.Add((child, length));
            if (length < child.Tokens.Length)
            {
                break;
            }

            prompt = prompt[length..];
            node = child;
        }

        return path;
    }

    private void Touch(Node node)
    {
        for (; node != _root; node = node.Parent)
        {
            _byUse.Remove(node.Use);
            _byUse.AddFirst(node.Use);
        }
    }

    /// <summary>Drops what was not used for longest until so much fits; false if it cannot without dropping <paramref name="kept"/>.</summary>
    private bool MakeRoom(long bytes, Node kept)
    {
        while (Bytes + bytes > budget)
        {
            if (_byUse.Last?.Value is not { } last || last == kept)
            {
                return false;
            }

            last.Parent.Children.Remove(last.Tokens[0]);
            last.States.Dispose();
            _byUse.Remove(last.Use);
            Bytes -= last.Tokens.Length * bytesPerToken;
        }

        return true;
    }

    /// <summary>Cuts a node in two, one under the other.</summary>
    private void Split(Node node, int at)
    {
        using var scope = NewDisposeScope();
        var whole = node.States;
        var under = new Node(node.Tokens[at..], Part(at, node.Tokens.Length - at), node.Changes[at..], node) { Children = node.Children };
        foreach (var child in under.Children.Values)
        {
            child.Parent = under;
        }

        (node.Tokens, node.States, node.Changes) = (node.Tokens[..at], Part(0, at), node.Changes[..at]);
        node.Children = new() { [under.Tokens[0]] = under };
        _byUse.AddAfter(node.Use, under.Use);
        whole.Dispose();

        Tensor Part(int start, int length) => whole.narrow(1, start, length).clone().DetachFromDisposeScope();
    }

    private sealed class Node
    {
        public Node(PrefixToken[] tokens, Tensor states, float[][] changes, Node parent)
        {
            (Tokens, States, Changes, Parent) = (tokens, states, changes, parent);
            Use = new LinkedListNode<Node>(this);
        }

        public PrefixToken[] Tokens { get; set; }

        public Tensor States { get; set; } // [2·layers, tokens, kv_heads, head]

        public float[][] Changes { get; set; } // one entry a token

        public Node Parent { get; set; }

        public Dictionary<PrefixToken, Node> Children { get; set; } = [];

        public LinkedListNode<Node> Use { get; }
    }
}
