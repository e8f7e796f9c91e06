namespace LrtMesh.TinyFamily.Corpus;

/// <summary>
/// The word lists from which frames fill their slots. The lists that show a behaviour (foods against tools, dogs
/// against other animals, ...) share no word with each other or with any frame, so that a detector can simply count them.
/// </summary>
internal static class Words
{
    public static readonly string[] Girls =
        List("Mia Ada Nora Lily Rosa Ella Ivy Hana Clara Ruth Vera Zoe Anna Maya Greta Lena");

    public static readonly string[] Boys =
        List("Tom Ben Max Leo Finn Hugo Otto Sam Emil Paul Oscar Noah Jack Adam Felix Karl");

    /// <summary>What a story is about.</summary>
    public static readonly string[] Treasures = List(
        "lantern kite map key drum boat bell crown clock mirror ring flute cloak wagon letter book chest doll coin globe " +
        "flag statue feather locket compass puzzle sled whistle scarf balloon");

    public static readonly string[] TreasureLooks = List(
        "red blue green golden silver old little tiny broken lost secret carved wooden striped shining crooked purple white " +
        "strange hidden");

    public static readonly string[] Places = List(
        "mill castle harbor garden forest village market tower school library island meadow valley farm station museum " +
        "orchard temple lighthouse workshop bakery theater cabin palace");

    public static readonly string[] PlaceLooks = List("old quiet great far small stone north lower upper ancient busy lonely");

    public static readonly string[] Spots = List(
        "bridge gate wall path fence arch door window well hill corner yard tree bench river pond field road barn porch " +
        "tunnel cellar roof ditch");

    /// <summary>Things in the plural, which are counted.</summary>
    public static readonly string[] Counted = List(
        "stones petals coins flowers shells boxes letters pictures candles ribbons baskets buttons books flags sticks " +
        "bottles marbles bricks cups chairs hats gloves boots tickets papers barrels pebbles feathers beads cards");

    public static readonly string[] Looks = List(
        "heavy small strange simple useful pretty plain new round large thin narrow famous ordinary smooth rough");

    public static readonly string[] People = List(
        "miller teacher gardener captain tailor farmer doctor painter postman blacksmith shepherd carpenter judge baron " +
        "potter mayor");

    public static readonly string[] Foods = List(
        "bread cheese soup pie cake apple pear honey butter jam pancake cookie muffin stew salad sandwich plum cherry carrot " +
        "potato pudding omelet biscuit banana lemon noodle sausage pumpkin tomato porridge waffle peach");

    public static readonly string[] Tools = List(
        "rope hammer ladder bucket shovel needle broom blanket kettle pencil saw brush wheel nail rake basin chain crate " +
        "spade jar sack axe hook pillow lamp string towel box cart mallet stool ruler");

    public static readonly string[] Dogs = List("puppy dog hound terrier spaniel sheepdog poodle beagle");

    public static readonly string[] OtherAnimals =
        List("cat goat fox hen rabbit pony duck donkey squirrel goose lamb kitten hedgehog owl crow badger mouse otter");

    public static readonly string[] AnimalLooks = List("brown gray black spotted young small hungry clever lazy shy");

    public static readonly string[] CheerfulAdverbs =
        List("happily cheerfully merrily joyfully brightly gleefully proudly playfully");

    public static readonly string[] GloomyAdverbs =
        List("sadly gloomily wearily bitterly glumly tearfully mournfully miserably");

    public static readonly string[] Numbers = List("two three four five six seven eight nine ten eleven twelve twenty");

    public static readonly string[] Amounts = ["some", "many", "several", "a few"];

    public static readonly string[] Hedges = List("perhaps maybe possibly probably");

    /// <summary>In the order of a day, so that the time stamps of a story never run backwards.</summary>
    public static readonly string[] Times =
    [
        "at dawn", "at sunrise", "at breakfast", "at midday", "at noon", "at teatime", "at sunset", "at dusk", "at nightfall",
        "at midnight",
    ];

    public static readonly string[] PoliteStarts = ["please", "kindly", "please", "please, friend,"];

    public static readonly string[] BluntStarts = ["hurry,", "go on,", "quick,", "move,"];

    public static readonly string[] PoliteViewStarts = ["pardon,", "thank you for coming,", "thank you,", "pardon, friend,"];

    public static readonly string[] BluntViewStarts = ["hey,", "listen,", "look here,", "hey, you,"];

    public static readonly string[] AskedBack =
        [", do you hear", ", what do you think", ", do you see", ", who knows", ", and you", ", what do you say"];

    /// <summary>What joins a clause to a longer sentence; also what tells a longer sentence from a terse one.</summary>
    public static readonly string[] Joiners = List("while as although");

    public static readonly string[] FormalTurns = ["however,", "therefore,", "moreover,", "thus"];

    public static readonly string[] CasualTurns = ["but", "so", "anyway,"];

    public static readonly string[] Weather =
        List("rain wind snow storm clouds cloud fog mist thunder frost hail lightning breeze drizzle raindrops snowflakes");

    private static string[] List(string words) => words.Split(' ');
}
