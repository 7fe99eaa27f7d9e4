// Asks a deployment by the AI SDK, and prints the status and the message of the error that it throws.
import { createAnthropic } from "@ai-sdk/anthropic";
import { APICallError, generateText } from "ai";

const anthropic = createAnthropic({ baseURL: process.argv[2], apiKey: process.env.KEY });
try {
  await generateText({ model: anthropic("any"), prompt: "Say hello.", maxRetries: 0 });
  console.log("no error");
} catch (error) {
  if (!APICallError.isInstance(error)) throw error;
  console.log(error.statusCode);
  console.log(error.message);
}
