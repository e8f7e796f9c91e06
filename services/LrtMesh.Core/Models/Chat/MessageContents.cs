using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using LrtMesh.Core.Models.Chat.Jinja;
using LrtMesh.V1;

namespace LrtMesh.Core.Models.Chat;

/// <summary>Where the content of a message lies in the text of its conversation, without the white space around it, which templates may trim.</summary>
/// <param name="Message">Which message, counted from 0.</param>
/// <param name="Start">Its first character (UTF-16 code unit).</param>
/// <param name="End">One past its last; equal to <paramref name="Start"/> where the content is not found: the template drops it, changes it or writes it twice.</param>
public readonly record struct ContentSpan(int Message, int Start, int End);

/// <summary>
/// Finds the contents of messages in the text that a template makes of them: it is rendered again with marks around each content, and where the
/// marks come out is where the contents lie. A content that stands elsewhere in the text too, or in another message, is not mistaken for it.
/// </summary>
/// <remarks>
/// Without its marks the second text must be the first one to the letter. Where it is not, a mark has changed what the template does (it looks at
/// how a content begins, say): the messages are then marked half at a time, until those that cannot be marked are left over.
/// </remarks>
internal sealed class MessageContents
{
    // Of what is rendered to find the contents of one conversation, in characters; a rendering counts as LeastText or more.
    private const long MostText = 32 << 20;
    private const int LeastText = 64 << 10;

    private readonly V1.Chat _chat;
    private readonly string _text;
    private readonly Func<V1.Chat, string> _render;
    private readonly string _nonce = $"Zq{BitConverter.ToUInt128(Guid.NewGuid().ToByteArray()):D39}x"; // both cases, so that a change of case shows; no content holds it
    private readonly Regex _marks;
    private readonly Dictionary<int, ContentSpan> _found = [];
    private long _textLeft = MostText;

    private MessageContents(V1.Chat chat, string text, Func<V1.Chat, string> render)
    {
        _chat = chat;
        _text = text;
        _render = render;
        _marks = new Regex($"{_nonce}([0-9]+)([oc])", RegexOptions.CultureInvariant);
    }

    /// <summary>Finds the contents.</summary>
    /// <param name="chat">The conversation.</param>
    /// <param name="text">What the template makes of it.</param>
    /// <param name="render">The template, given nothing else that changes.</param>
    /// <returns>An entry for each message that has a content, in their order.</returns>
    public static IReadOnlyList<ContentSpan> Locate(V1.Chat chat, string text, Func<V1.Chat, string> render)
    {
        var search = new MessageContents(chat, text, render);
        int[] texts = [.. Enumerable.Range(0, chat.Messages.Count).Where(message => !search.Core(message).IsEmpty)];
        search.Find(texts);
        return
        [
            .. texts.Concat(Enumerable.Range(0, chat.Messages.Count).Except(texts).Where(message => HasOtherContent(chat.Messages[message])))
                .Order().Select(message => search._found.GetValueOrDefault(message, new ContentSpan(message, 0, 0))),
        ];
    }

    /// <summary>The content without the white space around it.</summary>
    private ReadOnlySpan<char> Core(int message)
    {
        var content = _chat.Messages[message].Content;
        var (start, end) = (0, content.Length);
        while (start < end && PyText.IsWhiteSpace(content[start]))
        {
            start++;
        }

        while (end > start && PyText.IsWhiteSpace(content[end - 1]))
        {
            end--;
        }

        return content.AsSpan(start, end - start);
    }

    private void Find(ReadOnlySpan<int> messages)
    {
        _textLeft -= Math.Max(LeastText, _text.Length);
        if (messages.IsEmpty || _textLeft < 0)
        {
            return;
        }

        if (MarksOf(messages) is { } marks)
        {
            foreach (var message in messages)
            {
                Add(message, marks[message].ToArray());
            }
        }
        else if (messages.Length > 1)
        {
            Find(messages[..(messages.Length / 2)]);
            Find(messages[(messages.Length / 2)..]);
        }
    }

    /// <summary>Of each message, where its marks come out; null where they change the text.</summary>
    private ILookup<int, (bool Opens, int At)>? MarksOf(ReadOnlySpan<int> messages)
    {
        string marked;
        try
        {
            marked = _render(Marked(messages));
        }
        catch (LrtMeshException)
        {
            return null; // the template refuses what it did not refuse without marks
        }

        var marks = new List<(int Message, bool Opens, int At)>();
        var before = 0; // characters of the marks so far
        foreach (Match mark in _marks.Matches(marked))
        {
            marks.Add((int.Parse(mark.Groups[1].ValueSpan, CultureInfo.InvariantCulture), mark.Groups[2].Value == "o", mark.Index - before));
            before += mark.Length;
        }

        return _marks.Replace(marked, "") == _text ? marks.ToLookup(mark => mark.Message, mark => (mark.Opens, mark.At)) : null;
    }

    private V1.Chat Marked(ReadOnlySpan<int> messages)
    {
        var chat = _chat.Clone();
        foreach (var message in messages)
        {
            var content = _chat.Messages[message].Content;
            var core = Core(message);
            var start = content.AsSpan().IndexOf(core);
            chat.Messages[message].Content = string.Concat(
                string.Concat(content.AsSpan(0, start), $"{_nonce}{message}o", core), $"{_nonce}{message}c", content.AsSpan(start + core.Length));
        }

        return chat;
    }

    private void Add(int message, (bool Opens, int At)[] marks)
    {
        var core = Core(message);
        if (marks is [(true, var start), (false, var end)] && _text.AsSpan(start, end - start).SequenceEqual(core))
        {
            _found[message] = new ContentSpan(message, start, end);
        }
    }

    /// <summary>Whether a message's content is not a text but among its further fields, a list of parts say.</summary>
    private static bool HasOtherContent(ChatMessage message)
    {
        if (message.FieldsJson.Length == 0)
        {
            return false;
        }

        using var fields = JsonDocument.Parse(message.FieldsJson);
        return fields.RootElement.TryGetProperty("content", out var content) && content.ValueKind != JsonValueKind.Null;
    }
}
