/** The configuration file is bundled as text, so that it may have comments (see wrangler.toml). */
declare module "*/distributed_config.json" {
  const text: string;
  export default text;
}
